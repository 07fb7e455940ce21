using System.Collections.Immutable;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.ContainerTests;

/// <summary>docker-compose.zk.yml as it stands, but for the ports that it publishes on the host: somebody else may have these.</summary>
[TestFixture]
public sealed class ComposeTests
{
    private const string ZooKeeper = "zk1:2181,zk2:2182,zk3:2183/redis_failover";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(150);
    private string _folder = "";
    private string _file = "";

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        await Engine.RequireAsync(Engine.RedisImage, Engine.ZooKeeperImage, Engine.MonitorImage);
        if ((await Engine.RunAsync("docker-compose", ["version"])).ExitCode != 0)
        {
            Assert.Ignore("docker-compose is not installed");
        }

        DirectoryInfo root = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "docker-compose.zk.yml")))
        {
            root = root.Parent!;
        }

        string[] lines = await File.ReadAllLinesAsync(Path.Combine(root.FullName, "docker-compose.zk.yml"));
        _folder = Directory.CreateTempSubdirectory("redis-failover-compose").FullName;
        _file = Path.Combine(_folder, "docker-compose.yml");
        await File.WriteAllLinesAsync(_file, lines.Where(line => line.TrimStart().Split(':')[0] is not ("ports" or "build")));
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (_file.Length > 0)
        {
            await ComposeAsync("down", "-v", "--timeout", "5");
            Directory.Delete(_folder, recursive: true);
        }
    }

    [Test]
    public async Task Up_kill_start_down_and_up_again_keep_the_data_and_the_master()
    {
        await UpAsync();
        NodeAddress first = (await WholeAsync()).Master!;
        await RedisAsync(first, "SET", "k", "v");
        Assert.That(await RedisAsync(first, "WAIT", "2", "10000"), Is.EqualTo("2"));

        await ComposeAsync("kill", first.Host);
        Topology without = await WaitForAsync(
            "A replica is master", topology => topology.State == TopologyState.Ok && topology.Master != first);
        await ComposeAsync("start", first.Host);
        Topology before = await WholeAsync();
        Assert.That(before.Master, Is.EqualTo(without.Master));

        await ComposeAsync("down", "--timeout", "20");
        await UpAsync();
        Topology after = await WholeAsync();
        Assert.That(after.Master, Is.EqualTo(before.Master), "down and up keep the master");
        foreach (NodeAddress node in after.Replicas.Append(after.Master!))
        {
            await Eventually.HoldsAsync($"{node} has the data", _ => RedisAsync(node, "GET", "k"), value => value == "v", s_patience);
        }
    }

    private async Task UpAsync() => Assert.That((await ComposeAsync("up", "-d")).ExitCode, Is.Zero);

    private Task<Topology> WholeAsync()
        => WaitForAsync(
            "All nodes are in use", topology => topology is { State: TopologyState.Ok, Replicas.Length: 2, Unavailable.Length: 0 });

    private Task<Topology> WaitForAsync(string what, Func<Topology, bool> holds) => Eventually.HoldsAsync(
        what,
        async _ =>
        {
            Said said = await ComposeAsync("exec", "-T", "monitor2", "redis-failover", "status", "--json", "--zk", ZooKeeper);
            string json = said.Output.Length > 0 ? said.Output : throw new InvalidOperationException(said.ToString());
            using JsonDocument status = JsonDocument.Parse(json);
            return TopologyJson.Parse(JsonSerializer.SerializeToUtf8Bytes(status.RootElement.GetProperty("topology")));
        },
        holds,
        s_patience,
        () => ComposeAsync("logs", "--tail", "20", "monitor1", "monitor2", "monitor3").GetAwaiter().GetResult().Output);

    private async Task<string> RedisAsync(NodeAddress node, params string[] command)
    {
        string port = node.Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        return (await ComposeAsync(["exec", "-T", node.Host, "redis-cli", "-p", port, .. command])).Output.Trim();
    }

    private Task<Said> ComposeAsync(params string[] arguments)
        => Engine.RunAsync(
            "docker-compose",
            ["-p", "redisfailovertest", "-f", _file, .. arguments],
            ImmutableDictionary<string, string>.Empty
                .Add("REDIS_IMAGE", Engine.RedisImage)
                .Add("ZOOKEEPER_IMAGE", Engine.ZooKeeperImage)
                .Add("MONITOR_IMAGE", Engine.MonitorImage));
}
