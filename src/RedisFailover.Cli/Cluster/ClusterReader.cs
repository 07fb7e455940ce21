using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>
/// One session with the ensemble, for a command that looks and is done. Every call is bounded in time and fails in one line.
/// </summary>
internal sealed class ClusterReader : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);
    private readonly ZooKeeperConnectionString _connection;
    private readonly TimeSpan _timeout;
    private readonly ZnodePaths _paths = new("");
    private ZooKeeperSession? _session;

    private ClusterReader(ZooKeeperConnectionString connection, TimeSpan timeout)
    {
        _connection = connection;
        _timeout = timeout;
    }

    /// <summary>A cluster below the root of another reader, by the same session, which that one disposes of.</summary>
    private ClusterReader(ClusterReader root, string name)
        : this(root._connection, root._timeout)
    {
        (_session, _paths) = (root._session, root._paths.Cluster(name));
    }

    private ZooKeeperSession Session => _session!;

    /// <summary>The cluster of that name below this root; this one is disposed of, not that.</summary>
    internal ClusterReader Below(string name) => new(this, name);

    /// <summary>The clusters below this root, sorted; none where it is a cluster's own.</summary>
    internal async Task<ImmutableArray<string>> ClustersAsync(CancellationToken ct)
        => (await ChildrenAsync(_paths.Clusters, ct)).Sort(StringComparer.Ordinal);

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
                        + $"znodes: zkCli.sh deleteall {_connection.Chroot}{_paths.Cluster(other).Root}", CommandLine.Refused);
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
            : await ReadAsync(_paths.Nodes, ct) is { IsEmpty: false } json && ParseTopology(json) is var topology
                ? topology.Replicas.Concat(topology.Unavailable).Concat(topology.Master is { } master ? [master] : []) : [];
    }

    /// <summary>Whether a monitor has written a topology here.</summary>
    internal async Task<bool> HasTopologyAsync(CancellationToken ct) => await ZnodeAsync(_paths.Nodes, ct) is not null;

    /// <summary>What holds for all monitors of this cluster, and its version; where nothing was written, nothing and -1.</summary>
    internal async Task<(ClusterConfig Config, int Version)> ConfigAsync(CancellationToken ct)
        => await ZnodeAsync(_paths.Config, ct) is { } znode
            ? (Parsed(ClusterConfigJson.Parse, znode.Data), znode.Stat.Version) : (ClusterConfig.Empty, -1);

    /// <summary>Writes the configuration of this cluster in place of that version; false where it is another by now.</summary>
    internal async Task<bool> WriteConfigAsync(ClusterConfig config, int version, CancellationToken ct)
        => await ChangedAsync(version < 0 ? ZooKeeperErrorCode.NodeExists : ZooKeeperErrorCode.BadVersion, async token =>
        {
            if (version < 0)
            {
                await Session.EnsurePathAsync(_paths.Root, token);
                await Session.CreateAsync(_paths.Config, ClusterConfigJson.Write(config), CreateMode.Persistent, default, token);
            }
            else
            {
                await Session.SetDataAsync(_paths.Config, ClusterConfigJson.Write(config), version, token);
            }
        }, ct);

    internal static async Task<ClusterReader> ConnectAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, TextWriter errors, CancellationToken ct)
    {
        ClusterReader reader = new(connection, timeout);
        reader._session = await reader.BoundedAsync(
            token
                => NotSilentAsync(ZooKeeperSession.ConnectAsync(ZooKeeperAccess.Options(connection), token), connection, errors, token),
                    ct);
        return reader;
    }

    /// <summary>
    /// What takes long is looked into: it fails at once where nothing can come of waiting, and says what it waits for where something
    /// can.
    /// </summary>
    /// <exception cref="CliException">Every server refuses, is unknown, or is no ZooKeeper.</exception>
    internal static async Task<T> NotSilentAsync<T>(Task<T> connecting, ZooKeeperConnectionString connection, TextWriter errors,
        CancellationToken ct)
    {
        if (await Task.WhenAny(connecting, Task.Delay(Patience, TimeProvider.System, ct)) != connecting && !ct.IsCancellationRequested)
        {
            ZooKeeperDiagnosis diagnosis = await ZooKeeperDiagnosis.OfAsync(connection, ct);
            if (diagnosis.IsHopeless && !connecting.IsCompletedSuccessfully)
            {
                _ = connecting.ContinueWith(static t
                    => t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
                throw new CliException($"ZooKeeper cannot be reached: {diagnosis.Text}");
            }

            if (!connecting.IsCompleted)
            {
                await errors.WriteLineAsync($"redis-failover: waiting for ZooKeeper ({diagnosis.Text})");
            }
        }

        return await connecting;
    }

    internal static async Task<CliException> UnreachableAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, CancellationToken ct, Exception? inner = null)
    {
        ZooKeeperDiagnosis diagnosis = await ZooKeeperDiagnosis.OfAsync(connection, ct);
        return new CliException(
            diagnosis.IsHopeless
                ? $"ZooKeeper cannot be reached: {diagnosis.Text}"
                : $"ZooKeeper did not answer within {timeout.TotalSeconds:0.###} s: {diagnosis.Text}",
            inner: inner);
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
            throw NoTopology(_connection, await ClustersAsync(ct));
        }
    }

    internal static Topology ParseTopology(ReadOnlyMemory<byte> json) => Parsed(TopologyJson.Parse, json);

    internal async Task<ClusterState> ReadAsync(CancellationToken ct)
    {
        // A ZooKeeper follower may lag behind; what an operator is shown must not.
        await BoundedAsync(
            async token =>
            {
                await Session.SyncAsync(_paths.Nodes, token);
                return true;
            },
            ct);
        ReadOnlyMemory<byte> nodes = await ReadAsync(_paths.Nodes, ct) ?? throw NoTopology(_connection, await ClustersAsync(ct));
        ReadOnlyMemory<byte>? leader = await ReadAsync(_paths.Leader, ct);
        Dictionary<string, ReadOnlyMemory<byte>> monitors = [];
        foreach (string id in await ChildrenAsync(_paths.Monitors, ct))
        {
            // One that no session holds is no monitor: the leader tells of it.
            if (await ZnodeAsync(_paths.Monitor(id), ct) is { Stat.EphemeralOwner: not 0 } monitor)
            {
                monitors.Add(id, monitor.Data);
            }
        }

        List<Problem> outsiders = [];
        foreach (string name in await ChildrenAsync(_paths.Outsiders, ct))
        {
            outsiders.AddRange(await ReadAsync(_paths.Outsider(name), ct) is { } outsider ? ParsedProblems(outsider) : []);
        }

        Znode? config = await ZnodeAsync(_paths.Config, ct);
        // What somebody mangled is said, and the rest is shown: it is looked at when something is amiss.
        var unreadable = ImmutableArray.CreateBuilder<string>();
        LeaderInfo? leads = leader is { } json ? Readable(ParseLeader, json, _paths.Leader) : null;
        return new ClusterState
        {
            Topology = ParseTopology(nodes),
            TopologyJson = nodes,
            Leader = leads,
            LeaderJson = leader,
            Monitors = monitors.Select(monitor
                    => KeyValuePair.Create(monitor.Key, Readable(MonitorReport.Parse, monitor.Value, _paths.Monitor(monitor.Key))!))
                .Where(monitor => monitor.Value is not null).ToImmutableSortedDictionary(),
            MonitorsJson = monitors.ToImmutableSortedDictionary(),
            Config = config is null ? null : Readable(ClusterConfigJson.Parse, config.Data, _paths.Config),
            ConfigJson = config?.Data,
            ConfigVersion = config?.Stat.Version ?? -1,
            Unreadable = unreadable.ToImmutable(),
            Problems = await ReadAsync(_paths.Problems, ct) is { } problems ? ParsedProblems(problems) : null,
            Outsiders = [.. outsiders],
            Members = (await ChildrenAsync(_paths.Members, ct)).Sort(StringComparer.Ordinal),
            Wish = await ReadAsync(_paths.ManualFailover, ct) is { } wish ? Encoding.UTF8.GetString(wish.Span) : null,
        };

        T? Readable<T>(Func<ReadOnlyMemory<byte>, T> parse, ReadOnlyMemory<byte> json, string path)
            where T : class
        {
            try
            {
                return parse(json);
            }
            catch (FormatException e)
            {
                unreadable.Add($"{_connection.Chroot}{path} is not readable: {e.Message}");
                return null;
            }
        }
    }

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
        ReadOnlyMemory<byte>? history = await ReadAsync(_paths.History, ct);
        try
        {
            return history is { } json ? HistoryJson.Parse(json) : [];
        }
        catch (FormatException e)
        {
            throw new CliException(
                $"{_paths.History} is not readable ({e.Message}); the leading monitor begins it anew with the next entry", inner: e);
        }
    }

    /// <summary>Makes a request; its name.</summary>
    internal async Task<string> RequestAsync(OperatorRequest request, CancellationToken ct)
    {
        // Once it is sent its name has to be known, to take it back: Ctrl-C leaves it a moment.
        using CancellationTokenSource grace = new();
        using CancellationTokenRegistration interrupted = ct.Register(() => grace.CancelAfter(Grace));
        try
        {
            string path = await BoundedAsync(
                async token =>
                {
                    await Session.EnsurePathAsync(_paths.Requests, token);
                    ImmutableArray<ZnodeAcl> rights = ZooKeeperAccess.AuthFile is null
                        ? default : await RequestRights.ForRequestAsync(Session, _paths.Requests, token);
                    return await Session.CreateAsync(_paths.RequestPrefix, request.Write(), CreateMode.PersistentSequential, rights, token);
                },
                grace.Token);
            return path[(path.LastIndexOf('/') + 1)..];
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.InvalidAcl)
        {
            throw NoRight(e);
        }
        catch (Exception e) when (e is ZooKeeperException { MayHaveBeenApplied: true } or OperationCanceledException
            || (e is CliException && e.InnerException is OperationCanceledException))
        {
            throw new CliException(
                $"{(e is OperationCanceledException ? "interrupted" : e.Message.TrimEnd('.'))}. The request may have been made all the "
                + "same, and be carried out: redis-failover requests list shows it, requests withdraw takes it back.", inner: e);
        }
    }

    private CliException NoRight(ZooKeeperException e) => new(
        $"no right to make requests at {_connection.Chroot}{_paths.Requests}: give an operator's user:password in the file that "
        + $"{ZooKeeperAccess.Variables[0].Variable} names (monitors: --zk-operators).",
        CommandLine.Refused,
        e);

    /// <summary>A request as it stands now; null when it is gone.</summary>
    internal async Task<OperatorRequest?> RequestAsync(string id, CancellationToken ct)
    {
        try
        {
            Znode znode = await BoundedAsync(token => Session.GetDataAsync(_paths.Request(id), cancellationToken: token).AsTask(), ct);
            return OperatorRequest.Parse(id, znode.Data, znode.Stat.Version);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    /// <summary>The answer to a request, as soon as it is there.</summary>
    /// <exception cref="OperationCanceledException">It was not there in time.</exception>
    internal async Task<RequestAnswer> AnswerAsync(string id, CancellationToken ct)
    {
        while (true)
        {
            TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
            try
            {
                Znode znode = await Session.GetDataAsync(_paths.Request(id), _ => changed.TrySetResult(), ct);
                if (OperatorRequest.Parse(id, znode.Data, znode.Stat.Version).Answer is { } answer)
                {
                    return answer;
                }
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
            {
                throw new CliException($"the request {id} was removed by somebody else.", inner: e);
            }

            await changed.Task.WaitAsync(ct);
        }
    }

    /// <summary>The requests that nobody has answered yet, the oldest first.</summary>
    internal async Task<ImmutableArray<OperatorRequest>> PendingRequestsAsync(CancellationToken ct)
    {
        ImmutableArray<OperatorRequest>.Builder pending = ImmutableArray.CreateBuilder<OperatorRequest>();
        ImmutableArray<string> ids;
        try
        {
            ids = await ChildrenAsync(_paths.Requests, ct);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
        {
            throw NoRight(e);
        }

        foreach (string id in ids.Sort(StringComparer.Ordinal))
        {
            try
            {
                if (await RequestAsync(id, ct) is { Answer: null } request)
                {
                    pending.Add(request);
                }
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoAuth)
            {
                // Another operator's, with other credentials: the leader knows it.
            }
        }

        return pending.ToImmutable();
    }

    /// <summary>Takes a request back; false when it was answered meanwhile, or is gone.</summary>
    internal async Task<bool> WithdrawAsync(OperatorRequest request, CancellationToken ct)
    {
        try
        {
            return await BoundedAsync(
                async token =>
                {
                    await Session.DeleteAsync(_paths.Request(request.Id), request.Version, token);
                    return true;
                },
                ct);
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoNode or ZooKeeperErrorCode.BadVersion)
        {
            return false;
        }
    }

    /// <summary>Takes a monitor off the register; false when it is not on it.</summary>
    internal Task<bool> ForgetAsync(string id, CancellationToken ct)
        => ChangedAsync(ZooKeeperErrorCode.NoNode, token => Session.DeleteAsync(_paths.Member(id), cancellationToken: token), ct);

    public ValueTask DisposeAsync() => _session?.DisposeAsync() ?? ValueTask.CompletedTask;

    private async Task<ReadOnlyMemory<byte>?> ReadAsync(string path, CancellationToken ct) => (await ZnodeAsync(path, ct))?.Data;

    private async Task<Znode?> ZnodeAsync(string path, CancellationToken ct)
    {
        try
        {
            return await BoundedAsync(token => Session.GetDataAsync(path, cancellationToken: token).AsTask(), ct);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    private async Task<ImmutableArray<string>> ChildrenAsync(string path, CancellationToken ct)
    {
        try
        {
            return (await BoundedAsync(token => Session.GetChildrenAsync(path, cancellationToken: token), ct)).Names;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return [];
        }
    }

    /// <summary>Whether the change was made; not where the server answers that there is nothing to change.</summary>
    private async Task<bool> ChangedAsync(ZooKeeperErrorCode already, Func<CancellationToken, Task> change, CancellationToken ct)
    {
        try
        {
            return await BoundedAsync(
                async token =>
                {
                    await change(token);
                    return true;
                },
                ct);
        }
        catch (ZooKeeperException e) when (e.Code == already)
        {
            return false;
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.InvalidAcl)
        {
            throw new CliException(
                $"no right to do that at {_connection.Chroot}{_paths.Root}: give the monitors' user:password in the file that "
                + $"{ZooKeeperAccess.Variables[0].Variable} names.", CommandLine.Refused, e);
        }
    }

    /// <summary>A read whose connection was lost is asked again, as long as there is time; a write is not.</summary>
    private async Task<T> BoundedAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(_timeout);
        while (true)
        {
            try
            {
                return await call(deadline.Token);
            }
            catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
            {
                throw await UnreachableAsync(_connection, _timeout, ct, e);
            }
            catch (ZooKeeperException e) when (e is { Code: ZooKeeperErrorCode.ConnectionLoss, MayHaveBeenApplied: false }
                && !deadline.IsCancellationRequested)
            {
                await Task.Delay(Pause, TimeProvider.System, CancellationToken.None);
            }
        }
    }

    /// <summary>A list that cannot be read is one problem: the leader writes it again.</summary>
    private static ImmutableArray<Problem> ParsedProblems(ReadOnlyMemory<byte> json)
    {
        try
        {
            return ProblemJson.Parse(json);
        }
        catch (FormatException e)
        {
            return [new Problem(ProblemCatalogue.ZnodeUnreadable, [], e.Message)];
        }
    }

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

    private static LeaderInfo ParseLeader(ReadOnlyMemory<byte> json) => Json.Read(json, "The leader's znode", root =>
    {
        return new LeaderInfo(
            Text("id"),
            Text("host"),
            root.TryGetProperty("pid", out JsonElement pid) && pid.ValueKind == JsonValueKind.Number ? pid.GetInt64() : 0,
            DateTimeOffset.TryParse(Text("since"), System.Globalization.CultureInfo.InvariantCulture, out DateTimeOffset since)
                ? Texts.Utc(since) : Text("since"));

        string Text(string field) => root.TryGetProperty(field, out JsonElement value) ? value.ToString() : "";
    });
}
