using System.Collections.Immutable;
using static RedisFailover.ProblemSeverity;

namespace RedisFailover;

/// <summary>
/// Every kind of problem that this version tells: name, severity, what to do. docs/problems.md has a section for each; a test
/// compares the two.
/// </summary>
internal static class ProblemCatalogue
{
    // The master.

    /// <summary>The master does not answer, and no failover has followed (yet).</summary>
    public static ProblemCode MasterUnreachable { get; } = new(
        "master-unreachable", Critical,
            "Look at the master's process and its network. To replace it anyway, name the replica: "
                + "redis-failover failover REPLICA --force.");

    /// <summary>There is no master: writes fail.</summary>
    public static ProblemCode NoMaster { get; } = new(
        "no-master", Critical,
            "Start the nodes that are down, or choose a master among those that answer: redis-failover failover HOST:PORT --force.");

    /// <summary>A failover or switchover has begun and does not end.</summary>
    public static ProblemCode ChangeStalled { get; } = new(
        "change-stalled", Critical,
            "See what it waits for in the message. A failover goes on, with loss, by redis-failover failover REPLICA --force.")
    {
        Patience = TimeSpan.FromSeconds(2),
    };

    /// <summary>The master lives, but the monitors cannot ask it: wrong credentials, or not a Redis.</summary>
    public static ProblemCode MasterNotWatched { get; } = new(
        "master-not-watched", Critical,
            "Correct what the message names: the monitors' password, ACL user or certificate, the node's maxclients, or the address.");

    /// <summary>The master is loading its data set.</summary>
    public static ProblemCode MasterLoading { get; } = new(
        "master-loading", Critical, "Wait, or shorten loading-timeout: after it a fit replica takes over.");

    /// <summary>A script or module keeps the master busy: it serves nobody.</summary>
    public static ProblemCode MasterBusy { get; } = new(
        "master-busy", Critical, "Find the script: SCRIPT KILL ends one that has not written. After busy-timeout a replica takes over.");

    /// <summary>The master holds its writes for a FAILOVER that somebody sent it, and that does not end.</summary>
    public static ProblemCode MasterFailsOver { get; } = new(
        "master-fails-over", Critical,
            "FAILOVER ABORT on the master ends it, and its writes go on. After busy-timeout a fit replica takes over.")
    {
        Patience = TimeSpan.FromSeconds(3),
    };

    /// <summary>A node holds its writes, for a CLIENT PAUSE that is not the monitors'.</summary>
    public static ProblemCode WritesPaused { get; } = new(
        "writes-paused", Critical, "CLIENT UNPAUSE on the node lets them go on. After busy-timeout a fit replica replaces a master.");

    /// <summary>The master refuses writes since it cannot save (MISCONF).</summary>
    public static ProblemCode MasterMisconf { get; } = new(
        "master-misconf", Critical, "Make room on its disk, or correct its permissions. After misconf-timeout a fit replica takes over.");

    /// <summary>The master refuses writes since its memory is full (OOM).</summary>
    public static ProblemCode MasterOutOfMemory { get; } = new(
        "master-out-of-memory", Critical,
            "Raise maxmemory, set an eviction policy, or delete keys. A switchover helps only where a replica may use more memory.")
    {
        Patience = TimeSpan.FromSeconds(2),
    };

    /// <summary>The master has, or a new one would have, fewer replicas in step than it demands, and refuses writes.</summary>
    public static ProblemCode MinReplicasUnmet { get; } = new(
        "min-replicas-unmet", Critical, "Bring the replicas back, or lower min-replicas-to-write on the nodes.");

    /// <summary>The topology in ZooKeeper and what the nodes say contradict each other, or somebody else wrote it.</summary>
    public static ProblemCode TopologyOverwritten { get; } = new(
        "topology-overwritten", Warning, "Find out what else writes R/nodes, and stop it.");

    /// <summary>The leading monitor cannot write the topology, or nobody could lead after it.</summary>
    public static ProblemCode TopologyNotWritten { get; } = new(
        "topology-not-written", Critical,
            "Give the monitors' ZooKeeper credential all rights on R and on what is below it (zkCli.sh setAcl), or raise the znodes' "
                + "quota.");

    /// <summary>A former master takes writes beside the master and cannot be made a replica.</summary>
    public static ProblemCode SecondMaster { get; } = new(
        "second-master", Critical, "Stop that node, or keep its clients away from it: what it takes is lost once it is a replica.");

    // Who could take over.

    /// <summary>Nobody could take over.</summary>
    public static ProblemCode NoCandidate { get; } = new(
        "no-candidate", Critical,
            "Fix what the message says about the replica that should be able to take over: docs/problems.md has a row for each reason.");

    /// <summary>A failover would take place, and the new master would refuse writes.</summary>
    public static ProblemCode CandidateRefusesWrites { get; } = new(
        "candidate-refuses-writes", Critical,
            "Make room on the replica: on its disk where it cannot save, maxmemory where its memory is full.");

    /// <summary>A replica holds more than its own maxmemory.</summary>
    public static ProblemCode MaxMemoryTooSmall { get; } = new(
        "maxmemory-too-small", Warning, "Set its maxmemory to that of the master: CONFIG SET maxmemory, and in its file.");

    /// <summary>A failover would not take place for another reason than the candidates.</summary>
    public static ProblemCode FailoverHeldBack { get; } = new(
        "failover-held-back", Critical,
            "The message says why. failover-interval does not hold back a request: redis-failover failover.");

    /// <summary>A configured node does not answer.</summary>
    public static ProblemCode NodeUnavailable { get; } = new(
        "node-unavailable", Warning, "Start it again. If it is gone for good: redis-failover nodes remove HOST:PORT.");

    /// <summary>A configured node lives, but the monitors cannot ask it: wrong credentials, or not a Redis.</summary>
    public static ProblemCode NodeNotWatched { get; } = new(
        "node-not-watched", Warning,
            "Correct what the message names: the monitors' password, ACL user or certificate, the node's maxclients, or the address.");

    /// <summary>A replica has no link to the master.</summary>
    public static ProblemCode ReplicaLinkDown { get; } = new(
        "replica-link-down", Warning, "Look at the network between the two, and at masteruser and masterauth on the replica.")
    {
        Patience = TimeSpan.FromSeconds(3),
    };

    /// <summary>A replica's data are older than max-replica-staleness: it is not offered for reads.</summary>
    public static ProblemCode ReplicaStale { get; } = new(
        "replica-stale", Warning,
            "Restore its link to the master, or see what keeps it from applying (its processor, a slow command): it serves reads again by "
                + "itself.");

    /// <summary>A replica refuses a part of what its master sends, or has fewer databases: its data differ.</summary>
    public static ProblemCode ReplicaDiverges { get; } = new(
        "replica-diverges", Warning,
            "Set it as the master is set (databases, rename-command, modules); its log says what it refuses. Then restart it without its "
                + "data.");

    /// <summary>The master refuses a replica's replication.</summary>
    public static ProblemCode ReplicationRefused { get; } = new(
        "replication-refused", Warning,
            "See the message. Mostly: masteruser and masterauth on the replica, or the user's rights on the master.");

    /// <summary>A replica begins a full copy again and again.</summary>
    public static ProblemCode FullCopyRepeats { get; } = new(
        "full-copy-repeats", Warning,
            "See the replica's log: an RDB that it cannot read, client-output-buffer-limit replica, or repl-timeout.");

    /// <summary>A node cannot write its role into its file: after a restart it has the old one.</summary>
    public static ProblemCode RoleNotPersisted { get; } = new(
        "role-not-persisted", Warning, "Let the Redis process write its configuration file and the directory that it is in.")
    {
        // A new leader has each node asked anew.
        Patience = TimeSpan.FromSeconds(3),
    };

    /// <summary>The monitors lack a right on a node that a failover needs.</summary>
    public static ProblemCode RightsMissing { get; } = new(
        "rights-missing", Critical,
            "Give the monitors' ACL user the rights of docs/security.md on that node, or take its rename-command lines out.");

    /// <summary>A node holds other people's data: it is left alone.</summary>
    public static ProblemCode ForeignData { get; } = new(
        "foreign-data", Critical,
            "If its data may be thrown away: redis-failover nodes adopt HOST:PORT --discard-its-data. Else correct the address.");

    /// <summary>One server answers under two of the configured names.</summary>
    public static ProblemCode SameServerTwice { get; } = new(
        "same-server-twice", Warning, "Take one of the two names out: redis-failover nodes remove HOST:PORT.");

    /// <summary>The nodes run versions that cannot all read each other's data.</summary>
    public static ProblemCode VersionsDiffer { get; } = new(
        "versions-differ", Warning, "Upgrade the older nodes: they cannot copy from a newer master.");

    /// <summary>A node runs in a mode that this product does not manage.</summary>
    public static ProblemCode UnsupportedMode { get; } = new(
        "unsupported-mode", Critical,
            "Run it without cluster-enabled and without Sentinel, or take it out: redis-failover nodes remove HOST:PORT.");

    /// <summary>A failover waits: the nodes that answer may lack a write that WAIT has acknowledged.</summary>
    public static ProblemCode WriteQuorumUnmet { get; } = new(
        "write-quorum-unmet", Critical,
            "Reach a node that the message names as it was: restarted, it proves nothing. Or lose such writes: "
                + "redis-failover failover HOST:PORT --force.");

    /// <summary>The fence at a node cannot be set: who is connected to it cannot be listed.</summary>
    public static ProblemCode FenceNotSet { get; } = new(
        "fence-not-set", Warning,
            "Connect fewer clients, or raise the node's client-output-buffer-limit normal. Until then the lease alone fences a "
                + "former leader.");

    /// <summary>A node takes no further connection.</summary>
    public static ProblemCode ConnectionsExhausted { get; } = new(
        "connections-exhausted", Critical,
            "End connections that are idle or leak (CLIENT LIST), or raise maxclients with CONFIG SET. A failover does not help.")
    {
        Patience = TimeSpan.FromSeconds(3),
    };

    /// <summary>Somebody else manages the same Redis nodes: another cluster's monitors, a Sentinel, a script.</summary>
    public static ProblemCode ForeignController { get; } = new(
        "foreign-controller", Critical, "Stop the other monitors or the Sentinel, or give them nodes of their own.");

    // The monitors and ZooKeeper.

    /// <summary>No monitor leads.</summary>
    public static ProblemCode NoLeader { get; } = new(
        "no-leader", Critical, "Start the monitors, and look at their logs.");

    /// <summary>Fewer monitors are here than required-monitors.</summary>
    public static ProblemCode TooFewMonitors { get; } = new(
        "too-few-monitors", Critical, "Start the other monitors, or lower required-monitors.");

    /// <summary>A registered monitor is away.</summary>
    public static ProblemCode MonitorMissing { get; } = new(
        "monitor-missing", Warning, "Start it again. If it will not come back: redis-failover monitors forget ID.")
    {
        Patience = TimeSpan.FromSeconds(5),
    };

    /// <summary>A monitor reaches none of the nodes, or none of the monitors does: nothing is concluded from that.</summary>
    public static ProblemCode MonitorsBlind { get; } = new(
        "monitors-blind", Critical, "Look at the network, name server and limits of the monitors' hosts.");

    /// <summary>Another living monitor has the same id.</summary>
    public static ProblemCode MonitorIdTaken { get; } = new(
        "monitor-id-taken", Critical, "Give each monitor an --id of its own, or leave it out.");

    /// <summary>None of a monitor's nodes is a member of the topology at its znode path.</summary>
    public static ProblemCode NotOurCluster { get; } = new(
        "not-our-cluster", Critical, "Give the monitor its own --znode-path, or the nodes of this cluster.");

    /// <summary>The monitors disagree: other nodes are configured, or another reaches more of them than the leader.</summary>
    public static ProblemCode MonitorsDisagree { get; } = new(
        "monitors-disagree", Warning, "Configure all monitors alike; look at the names and the network of the one that sees less.");

    /// <summary>Znodes below R/monitors that are no living monitor's.</summary>
    public static ProblemCode StrayZnode { get; } = new(
        "stray-znode", Warning, "Remove them with zkCli.sh: they count for nothing.");

    /// <summary>The leader's lease runs out again and again.</summary>
    public static ProblemCode LeaseNotHeld { get; } = new(
        "lease-not-held", Critical,
            "Make ZooKeeper's disk or the network to it faster; the lease grows with its writes, up to half of session-timeout: raise "
                + "that.");

    /// <summary>ZooKeeper answers slowly.</summary>
    public static ProblemCode ZooKeeperSlow { get; } = new(
        "zookeeper-slow", Warning, "Give ZooKeeper's transaction log a disk of its own; failovers take correspondingly longer.");

    /// <summary>ZooKeeper cannot be reached from a monitor.</summary>
    public static ProblemCode ZooKeeperUnreachable { get; } = new(
        "zookeeper-unreachable", Critical, "Look at the ensemble (more than half must run) and the network to it.");

    /// <summary>ZooKeeper refuses a monitor what the others may do: it has no credentials, or other ones.</summary>
    public static ProblemCode ZooKeeperRightsMissing { get; } = new(
        "zookeeper-rights-missing", Critical,
            "Give this monitor the others' credentials for ZooKeeper: compare the files. It takes part again by itself.");

    /// <summary>A monitor's wall clock differs from the others'.</summary>
    public static ProblemCode ClockDiffers { get; } = new(
        "clock-differs", Warning, "Synchronize the hosts' clocks: times in history and logs cannot be compared.");

    /// <summary>A monitor's HTTP port is taken.</summary>
    public static ProblemCode HttpUnavailable { get; } = new(
        "http-unavailable", Warning, "Free the port or give another --http; the monitor works without.");

    /// <summary>A znode holds what nobody can read.</summary>
    public static ProblemCode ZnodeUnreadable { get; } = new(
        "znode-unreadable", Warning,
            "Look at it with zkCli.sh get. R/config: correct it, or delete it. All others are written again by the monitors.");

    /// <summary>The store was lost, or put back from a backup, and began anew.</summary>
    public static ProblemCode StoreRenewed { get; } = new(
        "store-renewed", Warning,
            "See redis-failover history; clients follow by themselves. It ends with the next change of master: redis-failover switchover.");

    /// <summary>Failover is paused by an operator.</summary>
    public static ProblemCode Paused { get; } = new(
        "paused", Critical, "redis-failover resume, once the maintenance is over.");

    /// <summary>The leading monitor needs an operator for what no other code names.</summary>
    public static ProblemCode NeedsOperator { get; } = new(
        "needs-operator", Critical, "See the message, and the leading monitor's log.");

    /// <summary>All of them, in the order of docs/problems.md.</summary>
    public static ImmutableArray<ProblemCode> All { get; } =
    [
        MasterUnreachable, NoMaster, ChangeStalled, MasterNotWatched, MasterLoading, MasterBusy, MasterFailsOver, WritesPaused,
            MasterMisconf, MasterOutOfMemory, MinReplicasUnmet, TopologyOverwritten, TopologyNotWritten, SecondMaster,
        NoCandidate, CandidateRefusesWrites, MaxMemoryTooSmall, FailoverHeldBack, NodeUnavailable, NodeNotWatched, ReplicaLinkDown,
            ReplicaStale, ReplicaDiverges, ReplicationRefused, FullCopyRepeats,
        RoleNotPersisted, RightsMissing, ForeignData, SameServerTwice, VersionsDiffer, UnsupportedMode, WriteQuorumUnmet, FenceNotSet,
            ConnectionsExhausted, ForeignController,
        NoLeader, TooFewMonitors, MonitorMissing, MonitorsBlind, MonitorIdTaken, NotOurCluster, MonitorsDisagree, StrayZnode, LeaseNotHeld,
        ZooKeeperSlow, ZooKeeperUnreachable, ZooKeeperRightsMissing,
            ClockDiffers, HttpUnavailable, ZnodeUnreadable, StoreRenewed, Paused, NeedsOperator,
    ];

    private static readonly ImmutableDictionary<string, ProblemCode> ByName =
        All.ToImmutableDictionary(c => c.Name, StringComparer.Ordinal);

    /// <summary>The kind with this name; null where this version knows none.</summary>
    public static ProblemCode? Find(string name) => ByName.GetValueOrDefault(name);
}
