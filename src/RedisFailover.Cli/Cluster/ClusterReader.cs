using System.Collections.Immutable;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>One cluster as ZooKeeper holds it, for a command that looks and is done.</summary>
internal sealed class ClusterReader(EnsembleSession ensemble, ZnodePaths paths) : IAsyncDisposable
{
    private readonly ClusterStateReader _state = new(ensemble, paths);

    /// <summary>What operators ask of its leading monitor.</summary>
    internal ClusterRequests Requests { get; } = new(ensemble, paths);

    /// <summary>The cluster at that root.</summary>
    internal static async Task<ClusterReader> ConnectAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, TextWriter errors, CancellationToken ct)
        => new(await EnsembleSession.ConnectAsync(connection, timeout, errors, ct), new ZnodePaths(""));

    /// <summary>The cluster of that name below this root; this one is disposed of, not that.</summary>
    internal ClusterReader Below(string name) => new(ensemble, paths.Cluster(name));

    /// <summary>The clusters below this root, sorted; none where it is a cluster's own.</summary>
    internal async Task<ImmutableArray<string>> ClustersAsync(CancellationToken ct)
        => (await ensemble.ChildrenAsync(paths.Clusters, ct)).Sort(StringComparer.Ordinal);

    /// <summary>Nothing where none of these nodes is one of another cluster below this root: two would undo each other's work.</summary>
    /// <exception cref="CliException">One is.</exception>
    internal async Task RefuseNodesOfOthersAsync(ImmutableArray<NodeAddress> nodes, string cluster, TextWriter errors,
        CancellationToken ct)
    {
        foreach (string other in (await ClustersAsync(ct)).Remove(cluster))
        {
            try
            {
                if ((await Below(other).NodesAsync(ct)).FirstOrDefault(nodes.Contains) is { } shared)
                {
                    throw new CliException(
                        $"{shared} is a node of cluster {other}: a node is in one cluster only. If that cluster is gone, remove its "
                        + $"znodes: zkCli.sh deleteall {ensemble.Connection.Chroot}{paths.Cluster(other).Root}", CommandLine.Refused);
                }
            }
            catch (Exception e) when (e is ZooKeeperException { Code: ZooKeeperErrorCode.NoAuth } || e.InnerException is FormatException)
            {
                await errors.WriteLineAsync($"redis-failover: which nodes cluster {other} has cannot be read: {e.Message}");
            }
        }
    }

    /// <summary>The nodes of the cluster: those of its configuration, or else of its topology; none where it is given up.</summary>
    private async Task<IEnumerable<NodeAddress>> NodesAsync(CancellationToken ct)
    {
        ClusterConfig config = (await ConfigAsync(ct)).Config;
        return config.IsGivenUp ? []
            : !config.Nodes.IsEmpty ? config.Nodes.Select(n => n.Node)
            : await ensemble.ReadAsync(paths.Nodes, ct) is { IsEmpty: false } json && ParseTopology(json) is var topology
                ? topology.Replicas.Concat(topology.Unavailable).Concat(topology.Master is { } master ? [master] : []) : [];
    }

    /// <summary>Whether a monitor has written a topology here.</summary>
    internal async Task<bool> HasTopologyAsync(CancellationToken ct) => await ensemble.ZnodeAsync(paths.Nodes, ct) is not null;

    /// <summary>What holds for all monitors of this cluster, and its version; where nothing was written, nothing and -1.</summary>
    internal async Task<(ClusterConfig Config, int Version)> ConfigAsync(CancellationToken ct)
        => await ensemble.ZnodeAsync(paths.Config, ct) is { } znode
            ? (Parsed(ClusterConfigJson.Parse, znode.Data), znode.Stat.Version) : (ClusterConfig.Empty, -1);

    /// <summary>Writes the configuration of this cluster in place of that version; false where it is another by now.</summary>
    internal async Task<bool> WriteConfigAsync(ClusterConfig config, int version, CancellationToken ct)
        => await ensemble.ChangedAsync(
            paths.Root,
            version < 0 ? ZooKeeperErrorCode.NodeExists : ZooKeeperErrorCode.BadVersion,
            async (session, token) =>
            {
                if (version < 0)
                {
                    await CreateConfigAsync(session, ClusterConfigJson.Write(config), token);
                }
                else
                {
                    await session.SetDataAsync(paths.Config, ClusterConfigJson.Write(config), version, token);
                }
            },
            ct);

    /// <summary>
    /// What this tool creates lets in whom the znode above lets in: the monitors give a cluster its own rights only when they begin it.
    /// </summary>
    private async Task CreateConfigAsync(ZooKeeperSession session, byte[] json, CancellationToken ct)
    {
        await session.EnsurePathAsync("/", ct);
        ImmutableArray<ZnodeAcl> rights = await RightsAsync(session, "/", ct);
        string path = "";
        foreach (string name in paths.Root.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            path += "/" + name;
            rights = await EnsureAsync(session, path, rights, ct);
        }

        await session.CreateAsync(paths.Config, json, CreateMode.Persistent, rights, ct);
    }

    /// <summary>The rights of a znode, which is created with those where it is missing.</summary>
    private static async Task<ImmutableArray<ZnodeAcl>> EnsureAsync(
        ZooKeeperSession session, string path, ImmutableArray<ZnodeAcl> rights, CancellationToken ct)
    {
        if (await session.ExistsAsync(path, cancellationToken: ct) is null)
        {
            try
            {
                await session.CreateAsync(path, default, CreateMode.Persistent, rights, ct);
                return rights;
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NodeExists)
            {
                // Somebody else was quicker.
            }
        }

        return await RightsAsync(session, path, ct);
    }

    /// <summary>
    /// ZooKeeper hides the digests from whoever may not change rights: a znode with such a copy would lock everybody out.
    /// </summary>
    private static async Task<ImmutableArray<ZnodeAcl>> RightsAsync(ZooKeeperSession session, string path, CancellationToken ct)
    {
        ImmutableArray<ZnodeAcl> rights = (await session.GetAclAsync(path, ct)).Acl;
        return rights.Any(acl => acl.Scheme == "digest" && acl.Id.EndsWith(":x", StringComparison.Ordinal))
            ? throw new CliException(
                $"the rights of {path} are hidden from this identity: use the monitors' (REDIS_FAILOVER_ZK_AUTH_FILE)", CommandLine.Refused)
            : rights;
    }

    internal static CliException NoTopology(ZooKeeperConnectionString connection, ImmutableArray<string> clusters = default)
        => new($"there is no topology at {connection.Chroot}/nodes: " + (clusters.IsDefaultOrEmpty
            ? "no monitor has written one yet, or the path is another (--zk)."
            : $"below this root are the clusters {Texts.List(clusters)}; name one with --cluster."));

    /// <summary>Nothing where a cluster's topology is here.</summary>
    /// <exception cref="CliException">There is none; it names the clusters that are below this root.</exception>
    internal async Task RequireTopologyAsync(CancellationToken ct)
    {
        if (!await HasTopologyAsync(ct))
        {
            throw NoTopology(ensemble.Connection, await ClustersAsync(ct));
        }
    }

    internal static Topology ParseTopology(ReadOnlyMemory<byte> json) => Parsed(TopologyJson.Parse, json);

    /// <summary>All that is known of it.</summary>
    /// <exception cref="CliException">There is no topology.</exception>
    internal async Task<ClusterState> ReadAsync(CancellationToken ct)
        => await _state.ReadAsync(ct) ?? throw NoTopology(ensemble.Connection, await ClustersAsync(ct));

    /// <summary>The history; nothing where it is not readable: the leading monitor begins it anew with the next entry.</summary>
    internal async Task<ImmutableArray<HistoryEntry>> HistoryAsync(CancellationToken ct)
    {
        try
        {
            return await ReadableHistoryAsync(ct);
        }
        catch (CliException e) when (e.InnerException is FormatException)
        {
            return [];
        }
    }

    /// <summary>The history.</summary>
    /// <exception cref="CliException">It is not readable.</exception>
    internal async Task<ImmutableArray<HistoryEntry>> ReadableHistoryAsync(CancellationToken ct)
    {
        ReadOnlyMemory<byte>? history = await ensemble.ReadAsync(paths.History, ct);
        try
        {
            return history is { } json ? HistoryJson.Parse(json) : [];
        }
        catch (FormatException e)
        {
            throw new CliException(
                $"{paths.History} is not readable ({e.Message}); the leading monitor begins it anew with the next entry", inner: e);
        }
    }

    /// <summary>Takes a monitor off the register; false when it is not on it.</summary>
    internal Task<bool> ForgetAsync(string id, CancellationToken ct)
        => ensemble.ChangedAsync(
            paths.Root, ZooKeeperErrorCode.NoNode, (session, token) => session.DeleteAsync(paths.Member(id), cancellationToken: token), ct);

    public ValueTask DisposeAsync() => ensemble.DisposeAsync();

    private static T Parsed<T>(Func<ReadOnlyMemory<byte>, T> parse, ReadOnlyMemory<byte> json)
    {
        try
        {
            return parse(json);
        }
        catch (FormatException e)
        {
            throw new CliException(e.Message, inner: e);
        }
    }
}
