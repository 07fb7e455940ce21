using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>What "redis-failover check --json" said.</summary>
internal sealed record Word(int ExitCode, bool WouldWork, string Reason, ImmutableArray<Problem> Problems, string Text)
{
    internal static Word Parse(CliResult result)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(result.Output);
            JsonElement failover = document.RootElement.GetProperty("failover");
            return new Word(
                result.ExitCode,
                failover.GetProperty("possible").GetBoolean(),
                failover.GetProperty("reason").GetString()!,
                ProblemJson.Parse(JsonSerializer.SerializeToUtf8Bytes(document.RootElement.GetProperty("problems"))),
                result.Output);
        }
        catch (JsonException)
        {
            throw new FormatException(result.ToString());
        }
    }

    internal bool Tells(string code, string? subject)
        => Problems.Any(p => p.Code.Name == code && (subject is null || p.Subjects.Contains(subject)));

    public override string ToString() => Text;
}

/// <summary>What an operator is told, by the real tool.</summary>
internal static class Told
{
    /// <summary>For what takes a second or two on a machine that is not busy.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How the clusters of these tests are set: nothing is judged by a short silence, since the machine may be busy. A killed process is
    /// known at once all the same.
    /// </summary>
    internal static ClusterOptions Calm(params ImmutableArray<string> more) => new()
    {
        MonitorOptions =
            new MonitorOptions { SessionTimeout = TimeSpan.FromSeconds(4), ProbeTimeout = TimeSpan.FromSeconds(1), More = more },
    };

    internal static async Task<Word> CheckAsync(this Cluster cluster, CancellationToken ct = default)
        => Word.Parse(await CliProcess.RunAsync(["check", "--json", "--zk", cluster.ConnectionString], ct: ct));

    /// <summary>Waits until the tool tells of such a problem, of this node or monitor if one is given.</summary>
    internal static async Task<Problem> WaitUntilToldAsync(
        this Cluster cluster, string code, object? subject = null, TimeSpan? patience = null)
    {
        string? of = subject?.ToString();
        await Eventually.HoldsAsync(
            $"{code}{(of is null ? "" : " of " + of)} is told",
            ct => KnownAsync(cluster, ct),
            problems => problems.Any(p => p.Code.Name == code && (of is null || p.Subjects.Contains(of))),
            patience ?? s_patience,
            cluster.Explain);
        Word word = await Eventually.HoldsAsync("The tool tells it, too", cluster.CheckAsync, word
                => word.Tells(code, of), s_patience, cluster.Explain);
        Assert.That(word.ExitCode, Is.EqualTo(1), word.Text);
        return word.Problems.First(p => p.Code.Name == code && (of is null || p.Subjects.Contains(of)));
    }

    /// <summary>Waits until the tool says that writes fail and a person is needed, whichever code it has.</summary>
    internal static Task<Word> WaitUntilCriticalAsync(this Cluster cluster) => Eventually.HoldsAsync(
        "That there is no master is told",
        cluster.CheckAsync,
        word => word.Tells("no-master", null) || word.Tells("no-candidate", null) || word.Tells("change-stalled", null),
        s_patience,
        cluster.Explain);

    /// <summary>Waits until there is no such problem any more.</summary>
    internal static Task WaitUntilNotToldAsync(this Cluster cluster, string code) => Eventually.HoldsAsync(
        $"{code} is over", ct => KnownAsync(cluster, ct), problems => problems.All(p => p.Code.Name != code), s_patience, cluster.Explain);

    /// <summary>Waits until the leading monitor says that a failover would work.</summary>
    internal static async Task<Word> WaitUntilWouldWorkAsync(this Cluster cluster)
        => await Eventually.HoldsAsync("A failover would work", cluster.CheckAsync, word => word.WouldWork, s_patience, cluster.Explain);

    /// <summary>Holds all the time.</summary>
    internal static async Task StaysAsync(string what, Func<Task<bool>> holds, TimeSpan during, Func<string> explain)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < during; await Task.Delay(50))
        {
            bool held;
            try
            {
                held = await holds();
            }
            catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.ConnectionLoss)
            {
                continue; // our own connection, which says nothing of the cluster
            }

            Assert.That(held, Is.True, () => $"{what}: not after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms\n{explain()}");
        }
    }

    /// <summary>Waits until another node is master and says so itself.</summary>
    internal static async Task<Topology> WaitForOtherMasterAsync(this Cluster cluster, NodeAddress former, TimeSpan? within = null)
    {
        Topology after = await cluster.WaitForAsync(
            "Another node is master", topology
                => topology.State == TopologyState.Ok && topology.Master is { } now && now != former, within ?? s_patience);
        Assert.That(await cluster.Node(after.Master!).RoleAsync(), Is.EqualTo("master"), cluster.Explain());
        return after;
    }

    /// <summary>Whether the node is master, by its own word, and takes a write.</summary>
    internal static async Task<bool> TakesWritesAsync(this RedisServer node)
    {
        try
        {
            return (await node.CommandAsync("SET", "probe", "x")).Text == "OK";
        }
        catch (RedisErrorException)
        {
            return false;
        }
    }

    /// <summary>What all monitors have written, the worst first.</summary>
    private static async Task<ImmutableArray<Problem>> KnownAsync(Cluster cluster, CancellationToken ct)
    {
        List<Problem> known = [];
        ZnodePaths paths = new("");
        if (await cluster.ExistsAsync(paths.Problems, ct))
        {
            known.AddRange(ProblemJson.Parse(await cluster.ReadAsync(paths.Problems, ct)));
        }

        foreach (string id in await cluster.ChildrenAsync(paths.Monitors, ct))
        {
            ReadOnlyMemory<byte> view = await cluster.ReadAsync(paths.Monitor(id), ct);
            known.AddRange(view.Span.StartsWith("{"u8) ? MonitorReport.Parse(view).Problems : []);
        }

        foreach (string id in await cluster.ExistsAsync(paths.Outsiders, ct) ? await cluster.ChildrenAsync(paths.Outsiders, ct) : [])
        {
            known.AddRange(ProblemJson.Parse(await cluster.ReadAsync(paths.Outsider(id), ct)));
        }

        return [.. known];
    }
}
