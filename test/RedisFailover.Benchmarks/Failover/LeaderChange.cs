using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Benchmarks.Failover;

/// <summary>
/// How long the monitors are without a leader: from SIGTERM, kill -9 or SIGSTOP of the leading one, real processes all, until a watch on
/// <c>R/leader</c> tells of the next. And what a commit under the leader's fence takes, by which every step of a failover is written.
/// </summary>
internal static class LeaderChange
{
    private const string Usage = "usage: leader [--rounds N] [--zookeepers 1|3] [--session-timeout MS]";
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    private enum End
    {
        Term,
        Kill,
        Freeze,
    }

    internal static async Task<int> RunAsync(string[] args)
    {
        (int rounds, int zooKeepers, int timeout) = (5, 1, 4000);
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--rounds" when int.TryParse(value, out rounds) && rounds > 0:
                case "--zookeepers" when int.TryParse(value, out zooKeepers) && zooKeepers is 1 or 3:
                case "--session-timeout" when int.TryParse(value, out timeout) && timeout is >= 1000 and <= 10_000:
                    break;
                default:
                    await Console.Error.WriteLineAsync($"leader: {args[i]} {value}: {Usage}");
                    return 2;
            }
        }

        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions
        {
            ZooKeepers = zooKeepers,
            ZooKeeperOptions = new ZooKeeperServerOptions { ForceSync = true },
            MonitorOptions = new MonitorOptions { SessionTimeout = TimeSpan.FromMilliseconds(timeout) },
        });
        await cluster.WaitUntilWholeAsync(Deadline);
        await using var client =
            new ZooKeeperClient(new ZooKeeperOptions { Connection = ZooKeeperConnectionString.Parse(cluster.ConnectionString) });
        await using WatchedValue leader = client.Watch("/leader");
        var elected = Channel.CreateUnbounded<(long At, long Owner)>();
        leader.Changed += znode => elected.Writer.TryWrite((Stopwatch.GetTimestamp(), znode?.Stat.EphemeralOwner ?? 0));
        foreach (End end in Enum.GetValues<End>())
        {
            List<double> took = [];
            for (int round = 0; round < rounds; round++)
            {
                took.Add(await MeasureAsync(cluster, leader, elected.Reader, end));
            }

            Print($"{end switch { End.Term => "SIGTERM", End.Kill => "kill -9", _ => "SIGSTOP" }} of the leader until another leads, "
                + $"session timeout {timeout} ms, {zooKeepers} ZooKeeper", took);
        }

        await CommitAsync(client, zooKeepers);
        return 0;
    }

    private static async Task<double> MeasureAsync(Cluster cluster, WatchedValue leader, ChannelReader<(long At, long Owner)> elected,
        End end)
    {
        await cluster.WaitForAllViewsAsync();
        MonitorProcess leading = await cluster.LeaderAsync(Deadline);
        await Eventually.HoldsAsync("The watch knows the leader", () => leader.Current is not null);
        long owner = leader.Current!.Stat.EphemeralOwner;
        while (elected.TryRead(out _))
        {
            // Of earlier rounds.
        }

        long struck = Stopwatch.GetTimestamp();
        switch (end)
        {
            case End.Term:
                leading.Process.Terminate();
                break;
            case End.Kill:
                leading.Kill();
                break;
            default:
                leading.Freeze();
                break;
        }

        (long At, long Owner) next;
        do
        {
            next = await elected.ReadAsync().AsTask().WaitAsync(Deadline);
        }
        while (next.Owner == 0 || next.Owner == owner);

        if (end == End.Freeze)
        {
            leading.Thaw();
        }
        else
        {
            await leading.Process.WaitForExitAsync();
            await leading.RestartAsync();
        }

        return Stopwatch.GetElapsedTime(struck, next.At).TotalMilliseconds;
    }

    private static async Task CommitAsync(ZooKeeperClient client, int zooKeepers)
    {
        const int commits = 1000;
        var election = new LeaderElection(client, new LeaderElectionOptions
        {
            LeaderPath = "/bench/leader", TermPath = "/bench/term", CandidateId = "bench", LeaderData = () => ReadOnlyMemory<byte>.Empty,
        });
        await using Leadership lead = await election.CampaignAsync();
        byte[] data = new byte[1000];
        await lead.CommitAsync([ZnodeOperation.Create("/bench/nodes", data)]);
        List<double> took = [];
        for (int i = 0; i < commits; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            await lead.CommitAsync([ZnodeOperation.SetData("/bench/nodes", data)]);
            took.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }

        Print($"commit of 1 KB under the fence, {zooKeepers} ZooKeeper", took);
    }

    private static void Print(string what, List<double> took)
    {
        took.Sort();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{what}: median {took[took.Count / 2]:0.0} ms [{took[0]:0.0} .. {took[^1]:0.0}], p99 "
                + $"{took[Math.Min(took.Count - 1, took.Count * 99 / 100)]:0.0}, {took.Count} times"));
    }
}
