using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>Reads all that ZooKeeper holds about one cluster.</summary>
internal sealed class ClusterStateReader(EnsembleSession ensemble, ZnodePaths paths)
{
    /// <summary>Null where there is no topology.</summary>
    internal async Task<ClusterState?> ReadAsync(CancellationToken ct)
    {
        // A ZooKeeper follower may lag behind; what an operator is shown must not.
        await ensemble.BoundedAsync(
            async token =>
            {
                await ensemble.Session.SyncAsync(paths.Nodes, token);
                return true;
            },
            ct);
        if (await ensemble.ReadAsync(paths.Nodes, ct) is not { } nodes)
        {
            return null;
        }

        Znode? inPlace = await ensemble.ZnodeAsync(paths.Leader, ct);
        // What no session holds was put there by somebody, and is no leader's.
        ReadOnlyMemory<byte>? leader = inPlace is { Stat.EphemeralOwner: not 0, Data: var data } ? new ReadOnlyMemory<byte>?(data) : null;
        Dictionary<string, ReadOnlyMemory<byte>> monitors = await MonitorsAsync(ct);
        Znode? config = await ensemble.ZnodeAsync(paths.Config, ct);
        // What somebody mangled is said, and the rest is shown: it is looked at when something is amiss.
        var unreadable = ImmutableArray.CreateBuilder<string>();
        LeaderInfo? leads = leader is { } json ? Readable(ParseLeader, json, paths.Leader) : null;
        return new ClusterState
        {
            Topology = ClusterReader.ParseTopology(nodes),
            TopologyJson = nodes,
            Leader = leads,
            LeaderJson = leader,
            InLeadersPlace = inPlace is not null && leader is null ? ensemble.Connection.Chroot + paths.Leader : null,
            Monitors = monitors.Select(monitor
                    => KeyValuePair.Create(monitor.Key, Readable(MonitorReport.Parse, monitor.Value, paths.Monitor(monitor.Key))!))
                .Where(monitor => monitor.Value is not null).ToImmutableSortedDictionary(),
            MonitorsJson = monitors.ToImmutableSortedDictionary(),
            Config = config is null ? null : Readable(ClusterConfigJson.Parse, config.Data, paths.Config),
            ConfigJson = config?.Data,
            ConfigVersion = config?.Stat.Version ?? -1,
            Unreadable = unreadable.ToImmutable(),
            Problems = await ensemble.ReadAsync(paths.Problems, ct) is { } problems ? ParsedProblems(problems) : null,
            LastInHistory = await LastInHistoryAsync(ct),
            Outsiders = await OutsidersAsync(ct),
            Members = (await ensemble.ChildrenAsync(paths.Members, ct)).Sort(StringComparer.Ordinal),
            Wish = await ensemble.ReadAsync(paths.ManualFailover, ct) is { } wish ? Encoding.UTF8.GetString(wish.Span) : null,
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
                unreadable.Add($"{ensemble.Connection.Chroot}{path} is not readable: {e.Message}");
                return null;
            }
        }
    }

    private async Task<Dictionary<string, ReadOnlyMemory<byte>>> MonitorsAsync(CancellationToken ct)
    {
        Dictionary<string, ReadOnlyMemory<byte>> monitors = [];
        foreach (string id in await ensemble.ChildrenAsync(paths.Monitors, ct))
        {
            // One that no session holds is no monitor: the leader tells of it.
            if (await ensemble.ZnodeAsync(paths.Monitor(id), ct) is { Stat.EphemeralOwner: not 0 } monitor)
            {
                monitors.Add(id, monitor.Data);
            }
        }

        return monitors;
    }

    /// <summary>Null where the history cannot be read: the topology has the last change too.</summary>
    private async Task<HistoryEntry?> LastInHistoryAsync(CancellationToken ct)
    {
        try
        {
            return await ensemble.ReadAsync(paths.History, ct) is { } json ? HistoryJson.Parse(json).LastOrDefault() : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private async Task<ImmutableArray<Problem>> OutsidersAsync(CancellationToken ct)
    {
        List<Problem> outsiders = [];
        foreach (string name in await ensemble.ChildrenAsync(paths.Outsiders, ct))
        {
            outsiders.AddRange(await ensemble.ReadAsync(paths.Outsider(name), ct) is { } outsider ? ParsedProblems(outsider) : []);
        }

        return [.. outsiders];
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
