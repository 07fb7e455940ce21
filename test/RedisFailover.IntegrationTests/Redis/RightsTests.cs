using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Redis;

/// <summary>What the monitors' user may do on a node is known before it is needed.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class RightsTests
{
    private const NodeRights Everything = NodeRights.ChangeRole | NodeRights.HoldWrites | NodeRights.ResumeWrites | NodeRights.CutClients
        | NodeRights.ListClients | NodeRights.NameConnection | NodeRights.ReadSettings | NodeRights.ChangeSettings | NodeRights.KeepRole;

    [Test]
    public async Task The_user_of_Sentinels_documentation_may_promote_and_hold_no_writes()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        string[] sentinels = ["allchannels", "+multi", "+slaveof", "+ping", "+exec", "+subscribe", "+config|rewrite", "+publish", "+info",
            "+client|setname", "+client|kill", "+script|kill"];
        await redis.CommandAsync(["ACL", "SETUSER", "m", "on", ">p", .. sentinels]);
        await redis.CommandAsync("REPLICAOF", "127.0.0.1", "1");
        await using var watched = new Watched(redis.Address, "m", "p");

        NodeInfo info = (await watched.UntilAsync<NodeAnswered>("it answers", _ => true)).Info;
        const NodeRights missing = NodeRights.HoldWrites | NodeRights.ListClients | NodeRights.ReadSettings | NodeRights.ChangeSettings;
        Assert.That(info.MissingRights, Is.EqualTo(missing));
        Assert.That((await watched.RunAsync(new Promote(redis.Address))).Failure, Is.Null, "SLAVEOF stands for REPLICAOF");
        Assert.That(await redis.RoleAsync(), Is.EqualTo("master"));
    }

    [Test]
    public async Task A_user_that_may_only_watch_lacks_everything_and_asking_has_changed_nothing()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer redis = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = master.Address });
        await redis.CommandAsync("ACL", "SETUSER", "m", "on", ">p", "+info", "+multi", "+discard");
        await using var watched = new Watched(redis.Address, "m", "p");
        await using var trusted = new Watched(redis.Address);

        NodeInfo info = (await watched.UntilAsync<NodeAnswered>("it answers", _ => true)).Info;
        Assert.That(info.MissingRights, Is.EqualTo(Everything));
        info = (await trusted.UntilAsync<NodeAnswered>("it answers", _ => true)).Info;
        Assert.That(info.MissingRights, Is.EqualTo(NodeRights.None));
        Assert.That((await redis.MasterAsync(), (await master.CommandAsync("SET", "k", "v")).Text), Is.EqualTo((master.Address, "OK")));
    }

    [Test]
    public async Task What_an_operator_grants_is_known_soon_afterwards()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        await redis.CommandAsync("ACL", "SETUSER", "m", "on", ">p", "+@all", "-replicaof", "-slaveof");
        await using var watched = new Watched(redis.Address, "m", "p");
        await watched.SaysAsync("it is missing", info => info.MissingRights == NodeRights.ChangeRole);
        await redis.CommandAsync("ACL", "SETUSER", "m", "+replicaof");
        await watched.SaysAsync("it is there", info => info.MissingRights == NodeRights.None);
    }

    [Test]
    public async Task A_user_with_the_least_rights_sees_a_failover_and_a_switchover_through()
    {
        string[] rule = NodeRight.MinimalAcl(new Version(7, 0)).Split(' ');
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 0 });
        foreach (RedisServer redis in cluster.Redis)
        {
            await redis.CommandAsync(["ACL", "SETUSER", "m", "on", ">p", .. rule]);
        }

        for (int i = 0; i < 3; i++)
        {
            await cluster.StartMonitorAsync(o => o with { Password = "p", More = ["--username", "m"] });
        }

        Topology before = await cluster.WaitUntilWholeAsync();
        NodeAddress target = before.Replicas[0];
        CliResult moved = await CliProcess.RunAsync(["switchover", target.ToString(), "--zk", cluster.ConnectionString]);
        Assert.That(moved.ExitCode, Is.Zero, $"{moved}\n{cluster.Explain()}");
        await cluster.WaitForAsync("The old master follows", t => t.Master == target && t.Replicas.Length == 2);

        cluster.Node(target).Kill();
        Topology after =
            await cluster.WaitForAsync("A replica takes over", t => t.State == TopologyState.Ok && t.Master is { } m && m != target);
        Assert.That((await cluster.Node(after.Master!).CommandAsync("SET", "k", "v")).Text, Is.EqualTo("OK"));
        string[] denied = [.. cluster.Monitors.SelectMany(m => m.Process.Log).Where(l => l.Contains("NOPERM", StringComparison.Ordinal))];
        Assert.That(denied, Is.Empty);
        foreach (RedisServer redis in cluster.Redis.Where(r => r.Process.IsRunning))
        {
            RedisReply log = await redis.CommandAsync("ACL", "LOG");
            Assert.That(log.Items, Is.Empty, $"{redis.Address}: {log}");
        }
    }
}
