using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Failover;

/// <summary>config/haproxy.cfg with the addresses of real servers in the place of its own, through a failover.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class HaproxyTests
{
    [Test]
    public async Task An_application_that_knows_nothing_of_failovers_writes_through_HAProxy_to_whoever_is_master()
    {
        if (Programs.Find("haproxy", "/usr/sbin", "/usr/local/sbin") is not { } program)
        {
            Assert.Ignore("haproxy is not installed: apt-get install haproxy");
            return;
        }

        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        (int http, int writes, int reads) = (FreePorts.Next(), FreePorts.Next(), FreePorts.Next());
        await cluster.StartMonitorAsync(options => options with { More = ["--http", $"http://127.0.0.1:{http}"] });
        Topology before = await cluster.WaitUntilWholeAsync(Eventually.DefaultDeadline);
        using var folder = new TemporaryDirectory("haproxy");
        string text = await File.ReadAllTextAsync(Path.Combine(Programs.RepositoryRoot, "config", "haproxy.cfg"));
        for (int i = 0; i < 3; i++)
        {
            text = text.Replace($"10.0.0.{i + 1}:6379", cluster.Redis[i].Address.ToString(), StringComparison.Ordinal)
                .Replace($"addr 10.0.0.{i + 1} port 9400", $"addr 127.0.0.1 port {http}", StringComparison.Ordinal);
        }

        text = text.Replace("127.0.0.1:6380", $"127.0.0.1:{writes}", StringComparison.Ordinal)
            .Replace("127.0.0.1:6381", $"127.0.0.1:{reads}", StringComparison.Ordinal)
            .Replace("/clusters/redis_failover/", $"/clusters/{cluster.ZnodePath.Split('/')[^1]}/", StringComparison.Ordinal);
        await File.WriteAllTextAsync(folder.File("haproxy.cfg"), text);
        await using ChildProcess haproxy = await ChildProcess.StartAsync(
            new ChildProcessOptions("haproxy", program, ["-db", "-f", folder.File("haproxy.cfg")]));

        await WaitForWriteAsync(writes, "before");
        await Eventually.HoldsAsync("a read from a replica", ct => ReadAsync(reads, ct), value => value == "before");
        await cluster.Redis.Single(redis => redis.Address == before.Master).KillAsync();
        await WaitForWriteAsync(writes, "after");

        Topology after = await cluster.WaitForAsync("a new master", topology => topology.Master is { } now && now != before.Master);
        RedisServer master = cluster.Redis.Single(redis => redis.Address == after.Master);
        Assert.That((await master.CommandAsync("GET", "written")).Text, Is.EqualTo("after"), haproxy.Tail());
    }

    private static Task<string?> WaitForWriteAsync(int port, string value)
        => Eventually.HoldsAsync(
            $"SET written {value}",
            async ct =>
            {
                await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", port, ct: ct);
                return (await wire.CommandAsync(["SET", "written", value], ct)).Text;
            },
            reply => reply == "OK");

    private static async Task<string?> ReadAsync(int port, CancellationToken ct)
    {
        await using RedisWire wire = await RedisWire.ConnectAsync("127.0.0.1", port, ct: ct);
        return (await wire.CommandAsync(["GET", "written"], ct)).Text;
    }
}
