namespace RedisFailover;

/// <summary>
/// The znodes of one cluster below its root R. The monitor connects without a chroot and uses its <c>--znode-path</c> as the root;
/// clients and the operator's tool put the root into their connection string and use the empty one.
/// </summary>
/// <param name="Root">"" or an absolute path without a trailing slash, such as "/redis_failover".</param>
internal sealed record ZnodePaths(string Root)
{
    /// <summary>Where redis_failover (Ruby) kept its znodes, and the default here: "/redis_failover".</summary>
    public const string DefaultRoot = "/redis_failover";

    /// <summary>What an operator writes into <see cref="ManualFailover"/> to let the monitors choose the new master.</summary>
    public const string AnyReplica = "ANY_SLAVE";

    /// <summary>The topology (persistent).</summary>
    public string Nodes => Root + "/nodes";

    /// <summary>Who leads (ephemeral).</summary>
    public string Leader => Root + "/leader";

    /// <summary>The leader's unique id; the version of this znode is the fencing token (persistent).</summary>
    public string Term => Root + "/term";

    /// <summary>The parent of the monitors' views (persistent).</summary>
    public string Monitors => Root + "/monitors";

    /// <summary>
    /// The parent of the monitors' heartbeats (persistent; each heartbeat is ephemeral, and its name is never used twice).
    /// </summary>
    public string Heartbeats => Root + "/heartbeats";

    /// <summary>An operator's wish: "host:port" or <see cref="AnyReplica"/> (persistent; deleted when done).</summary>
    public string ManualFailover => Root + "/manual_failover";

    /// <summary>The parent of the operators' requests (persistent).</summary>
    public string Requests => Root + "/requests";

    /// <summary>What the names of requests begin with; ZooKeeper appends a counter.</summary>
    public string RequestPrefix => Requests + "/request-";

    /// <summary>What holds for all monitors and changes while they run (persistent; there once something was changed).</summary>
    public string Config => Root + "/config";

    /// <summary>The last 100 changes (persistent).</summary>
    public string History => Root + "/history";

    /// <summary>What needs a person, by the leading monitor's word (persistent).</summary>
    public string Problems => Root + "/problems";

    /// <summary>The parent of the registered monitors: those of which a majority is counted (persistent).</summary>
    public string Members => Root + "/members";

    /// <summary>The parent of what monitors tell that are not taken for this cluster's (persistent).</summary>
    public string Outsiders => Root + "/outsiders";

    /// <summary>The parent of clusters that have one root in common: each child whose config names nodes is one (persistent).</summary>
    public string Clusters => Root + "/clusters";

    /// <summary>The znodes of one of the clusters below <see cref="Clusters"/>.</summary>
    public ZnodePaths Cluster(string name) => new(Clusters + "/" + name);

    /// <summary>One registered monitor (persistent).</summary>
    public string Member(string id) => Members + "/" + id;

    /// <summary>The problems of one monitor that is not taken for this cluster's (ephemeral).</summary>
    public string Outsider(string name) => Outsiders + "/" + name;

    /// <summary>One request of an operator (persistent, sequential; answered in place).</summary>
    public string Request(string id) => Requests + "/" + id;

    /// <summary>The view of one monitor (ephemeral).</summary>
    public string Monitor(string id) => Monitors + "/" + id;
}
