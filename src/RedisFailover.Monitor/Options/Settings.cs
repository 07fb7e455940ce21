using System.Collections.Immutable;
using Serilog.Events;
using static RedisFailover.Monitor.Options.SettingKinds;

namespace RedisFailover.Monitor.Options;

/// <summary>
/// Every setting of a monitor: the one place for names, defaults and ranges. Defaults of what the decider goes by are those of
/// <see cref="FailoverPolicy"/>. <c>--help</c>, validation, the schema of config/monitor.json and docs/configuration.md follow from it.
/// </summary>
internal static class Settings
{
    private static readonly FailoverPolicy Policy = new() { Nodes = [] };

    /// <summary>In the order of the documents: what is needed first.</summary>
    internal static ImmutableArray<Setting> All { get; } =
    [
        Nodes("nodes", (o, nodes) => o with { Nodes = nodes }) with
        {
            DefaultText = "required",
            Description = "The Redis nodes, master and replicas. When all of them start empty the first becomes the master.",
        },
        Text("zkservers", "h:p,h:p", "host[:port], by commas", (o, given) => o with { ZooKeeper = SettingTexts.Servers(given) }) with
        {
            DefaultText = "required",
            Description = "The ZooKeeper servers; the port may be left out (2181).",
        },
        Text("znode-path", "path", SettingTexts.PathAllowed, (o, given) => o with { ZnodePath = SettingTexts.Path(given) },
            ZnodePaths.DefaultRoot) with
        {
            Description = "The root of this cluster's znodes. Several clusters share one ensemble under one root each. "
                + "With clusters: the root that they have in common.",
        },
        Text("clusters", ClusterBinder.All, ClusterBinder.Allowed, (o, _) => o) with
        {
            DefaultText = "one: that of nodes",
            Description =
                "Several clusters in one process, in place of nodes. A list in the file: each has a name, nodes, and what it needs of the "
                    + "settings "
                + "for a cluster, of password, username, tls and znode-path (by default ZNODE-PATH/clusters/NAME). Or all: each child of "
                + "ZNODE-PATH/clusters whose "
                + "config names nodes, whenever it comes or goes. What stands beside it holds for all clusters. A list is read again at "
                + "SIGHUP.",
            Schema = ClusterBinder.Schema,
        },
        Text("password-file", "file", "a readable file", (o, given) => o with
        {
            Password = SettingTexts.FirstLine(given), PasswordFile = given.Value,
        }) with
        {
            Description = "A file that holds the password of all nodes. Read anew for each connection: it may change meanwhile. "
                + "Of several lines the first that a node accepts counts: during a rotation the new one and the old one.",
        },
        Text("password", "password", "any text", (o, given) => o with { Password = SettingTexts.OrNull(given) }) with
        {
            Description = "The password of all nodes. On the command line everybody sees it: prefer password-file or the environment.",
        },
        Text("username", "name", "any name", (o, given) => o with { Username = SettingTexts.OrNull(given) }) with
        {
            DefaultText = "Redis' default user",
            Description = "The ACL user that the password belongs to.",
        },
        .. SecurityRows.All,
        Whole("max-failures", Policy.MaxFailures, (o, n) => o with { MaxFailures = (int)n }) with
        {
            Description = "Failed probes in a row that make a node unavailable for a monitor.",
        },
        Time("probe-timeout", Policy.ProbeTimeout, (o, t) => o with { ProbeTimeout = t }) with
        {
            Description = "How long a node may take to answer. Silence is judged after max-failures times this; a refused or closed "
                + "connection at once. Longer than the longest command that keeps your Redis busy.",
        },
        Time("session-timeout", Policy.ViewLifetime, new TimeValues("100ms", "10m"), (o, t) => o with { SessionTimeout = t }) with
        {
            Description = "The ZooKeeper session, which cleans up after a monitor that is gone. The servers allow 2 to 20 of their ticks.",
        },
        Time("lease", TimeSpan.FromMilliseconds(500), new TimeValues("100ms", "5m"), (o, t) => o with { Lease = t }) with
        {
            Description = "How long a leader may act after its last renewal was sent, and so how soon a dead leader is replaced. "
                + "At most half of session-timeout.",
        },
        Choice("node-strategy", Scope.Cluster, Policy.NodeStrategy, (o, choice) => o with { NodeStrategy = choice }) with
        {
            Description = "How many monitors must find the master unavailable: more than half, all, or one.",
        },
        Choice("failover-strategy", Scope.Cluster, Policy.FailoverStrategy, (o, choice) => o with { FailoverStrategy = choice }) with
        {
            Description = "Among replicas with equally much data: offset: by replica-priority, then latency; latency: the other way round.",
        },
        Whole("required-monitors", Policy.RequiredMonitors, (o, n) => o with { RequiredMonitors = (int)n }) with
        {
            Description = "With fewer monitors than this nothing is decided.",
        },
        Time("registration-wait", null, (o, t) => o with { RegistrationWait = t }) with
        {
            DefaultText = "2 x session-timeout",
            Description =
                "After an election, how long registered monitors that are missing are waited for before the others decide without them.",
        },
        Time("monitor-absence", Policy.MonitorAbsence, (o, t) => o with { MonitorAbsence = t }) with
        {
            Description = "A registered monitor that is away for longer is forgotten.",
        },
        Time("switchover-timeout", Policy.SwitchoverTimeout, (o, t) => o with { SwitchoverTimeout = t }) with
        {
            Description = "How long a switchover may hold writes before it is undone.",
        },
        Choice("write-safety", Scope.Cluster, Policy.WriteSafety, (o, choice) => o with { WriteSafety = choice }) with
        {
            Description = "replicated: no failover loses a write that WAIT acknowledged, and a master that is cut off refuses writes.",
        },
        Whole("write-quorum", Policy.WriteQuorum, (o, n) => o with { WriteQuorum = (int)n }) with
        {
            Description = "With write-safety: on how many replicas a write is (WAIT k) before it counts as safe. "
                + "Raise it in the applications first, lower it in the monitors first.",
        },
        Whole("write-max-lag", Policy.WriteMaxLag, (o, n) => o with { WriteMaxLag = (int)n }) with
        {
            Description = "With write-safety: after how many seconds without a replica in step a master refuses writes. Longer than "
                + "max-failures x probe-timeout.",
        },
        Time("loading-timeout", Policy.LoadingTimeout, (o, t) => o with { LoadingTimeout = t }) with
        {
            Description = "How long a node may load its data set until it counts as unavailable. A master that loads longer is replaced.",
        },
        Time("misconf-timeout", Policy.MisconfTimeout, (o, t) => o with { MisconfTimeout = t }) with
        {
            Description = "How long a master may refuse writes because it cannot save (MISCONF) until it is replaced.",
        },
        Time("busy-timeout", Policy.BusyTimeout, (o, t) => o with { BusyTimeout = t }) with
        {
            Description = "How long a master may answer BUSY, hold its writes (a FAILOVER or CLIENT PAUSE of somebody), or take no new "
                + "connection, until it is replaced.",
        },
        Time("max-replica-staleness", Policy.MaxReplicaStaleness, (o, t) => o with { MaxReplicaStaleness = t }) with
        {
            Description = "A replica whose data are older (its link is down, or it applies too slowly) is not offered for reads. 0: always "
                + "offered.",
        },
        Time("stable-time", Policy.StableTime, (o, t) => o with { StableTime = t }) with
        {
            Description = "Among replicas with the same data, those that have answered without interruption for this long are preferred.",
        },
        Time("failover-interval", Policy.FailoverInterval, (o, t) => o with { FailoverInterval = t }) with
        {
            Description = "Minimum time between two failovers: a master that is lost sooner is replaced when it has passed. 0: no minimum.",
        },
        Whole("max-lag", Policy.MaxLag, (o, n) => o with { MaxLag = n }) with
        {
            Description = "A replica known to miss more bytes of the lost master's stream is not promoted.",
        },
        Nodes("never-promote", (o, nodes) => o with { NeverPromote = nodes }) with
        {
            Description = "Nodes of --nodes that are never promoted: the backup in another town, for one.",
        },
        Text("http", "url", SettingTexts.HttpAllowed, (o, given) => o with { Http = SettingTexts.Http(given) }) with
        {
            DefaultText = "off",
            Description = "Where HTTP is answered: health, topology, problems, metrics.",
        },
        Text("http-token-file", "file", "a readable file", (o, given) => o with { HttpToken = SettingTexts.Secret(given) }) with
        {
            Description = "A file that holds a token, or two during a rotation, one a line. With it HTTP asks for Authorization: Bearer "
                + "TOKEN, the health checks aside. Read again within a second.",
        },
        Text("http-cert-file", "pem", "a readable PEM file", (o, _) => o) with
        {
            Description = "The certificate of https://. Read again when it changes.",
        },
        Text("http-key-file", "pem", "a readable PEM file", (o, _) => o) with
        {
            DefaultText = "in http-cert-file",
            Description = "Its private key. Read again when it changes.",
        },
        Choice("log-format", Scope.Monitor, LogFormat.Text, (o, choice) => o with { LogFormat = choice }) with
        {
            Description = "Lines for people, or one JSON object a line.",
        },
        Choice("log-level", Scope.Monitor, LogEventLevel.Information, (o, choice) => o with { LogLevel = choice }) with
        {
            Description = "The least important level that is logged. Changed by SIGHUP.",
        },
        Text("id", "name", SettingTexts.IdAllowed, (o, given) => o with { Id = SettingTexts.Id(given) }) with
        {
            DefaultText = "of the host",
            Description =
                "This monitor's name in znodes, in logs and in the register. Unique, and the same after a restart. Left out, it is the "
                    + "host's name with a part of its machine id, and a number where several monitors run there.",
        },
    ];

    /// <summary>The one of that name, in whichever spelling; null where there is none.</summary>
    internal static Setting? Find(string name) => All.FirstOrDefault(setting => setting.IsNamed(name));
}
