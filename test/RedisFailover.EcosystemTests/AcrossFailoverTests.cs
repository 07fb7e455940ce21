using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

/// <summary>
/// Libraries that know nothing of failovers, on the client, while the master is lost: all of them at once, on real servers.
/// </summary>
[TestFixture]
public sealed class AcrossFailoverTests
{
    [TestCase("kill -9")]
    [TestCase("SIGSTOP")]
    [TestCase("switchover")]
    public async Task Every_library_goes_on(string fault)
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1 });
        Topology before = await cluster.WaitUntilWholeAsync(TimeSpan.FromSeconds(60));
        await using FailoverConnection connection = await FailoverConnection.ConnectAsync(
            cluster.ConnectionString, new FailoverOptions { ConnectTimeout = TimeSpan.FromSeconds(30) });
        Library[] libraries = await Libraries.AllAsync(connection);
        using var stop = new CancellationTokenSource();
        bool afterwards = false;
        Task<Outcome[]> watching =
            Task.WhenAll(
                libraries.Select(library => Task.Run(() => Outcome.WatchAsync(library, () => Volatile.Read(ref afterwards), stop.Token))));
        await Task.Delay(TimeSpan.FromSeconds(2));

        await InflictAsync(fault, cluster, connection, before.Master!);
        await Eventually.HoldsAsync("another master is known", ()
            => connection.Topology.Master is { } master && master != before.Master, TimeSpan.FromSeconds(60));
        await Task.Delay(TimeSpan.FromSeconds(1));
        Volatile.Write(ref afterwards, true);
        await Task.Delay(TimeSpan.FromSeconds(2));
        await stop.CancelAsync();
        Outcome[] outcomes = await watching;
        if (fault == "SIGSTOP")
        {
            cluster.Node(before.Master!).Thaw();
        }

        foreach (Library library in libraries)
        {
            await library.DisposeAsync();
        }

        Print(fault, outcomes);
        Assert.Multiple(() =>
        {
            foreach (Outcome outcome in outcomes)
            {
                Assert.That(outcome.DoneAfterwards, Is.GreaterThan(0), $"{outcome.Library} goes on; it said {outcome.LastError}");
                if (fault == "switchover" && !outcome.MayMiss)
                {
                    Assert.That(outcome.Lost, Is.Zero, $"{outcome.Library} loses nothing in a switchover");
                }
            }
        });
    }

    private static async Task InflictAsync(string fault, Cluster cluster, FailoverConnection connection, NodeAddress master)
    {
        switch (fault)
        {
            case "kill -9":
                cluster.Node(master).Kill();
                break;
            case "SIGSTOP":
                cluster.Node(master).Freeze();
                break;
            default:
                using (var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60)))
                {
                    await connection.FailoverAsync(cancellationToken: limit.Token);
                }

                break;
        }
    }

    private static void Print(string fault, Outcome[] outcomes)
    {
        TestContext.Progress.WriteLine($"{fault,-36} {"done",6} {"errors",7} {"gap ms",7} {"lost",5}");
        foreach (Outcome outcome in outcomes)
        {
            TestContext.Progress.WriteLine(
                $"{outcome.Library,-36} {outcome.Done,6} {outcome.Errors,7} {outcome.LongestGap.TotalMilliseconds,7:0} {outcome.Lost,5}  "
                    + $"{outcome.LastError?[..Math.Min(outcome.LastError.Length, 110)]}");
        }
    }
}
