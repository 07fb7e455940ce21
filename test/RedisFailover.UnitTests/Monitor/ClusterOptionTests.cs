using System.Collections;
using NUnit.Framework;
using RedisFailover.Monitor.Options;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class ClusterOptionTests
{
    private const string Orders = """{ "name": "orders", "nodes": ["a:1", "a:2"] }""";

    [Test]
    public void A_cluster_goes_by_its_own_settings_and_by_those_that_hold_for_all()
    {
        MonitorOptions options = Read("""
            { "zkservers": "zk1", "id": "m1", "max-failures": 7, "probe-timeout": "2s", "password": "all", "session-timeout": "6s",
              "clusters": [
                { "name": "orders", "nodes": ["a:1", "a:2"], "max-failures": 9, /* a comment */ "znode-path": "/elsewhere" },
                { "name": "sessions", "nodes": "b:1,b:2", "password": "own", },
              ] }
            """);

        Assert.Multiple(() =>
        {
            Assert.That(options.HasMany);
            Assert.That(options.Clusters.Select(c => (c.Name, c.ZnodePath, c.MaxFailures, c.Password, c.Id)), Is.EqualTo(new[]
            {
                ("orders", "/elsewhere", 9, "all", "m1"),
                ("sessions", "/redis_failover/clusters/sessions", 7, "own", "m1"),
            }));
            Assert.That(options.Clusters.Select(c => c.ProbeTimeout.TotalSeconds), Is.All.EqualTo(2));
            Assert.That(options.Clusters.Select(c => c.SessionTimeout.TotalSeconds), Is.All.EqualTo(6));
            Assert.That(options.Clusters[1].Nodes, Is.EqualTo(new[] { new NodeAddress("b", 1), new NodeAddress("b", 2) }));
        });
    }

    [Test]
    public void One_cluster_by_its_nodes_is_as_it_was_and_is_named_by_the_end_of_its_path()
    {
        MonitorOptions options = ReadAll("--nodes", "a:1", "--zkservers", "z", "--znode-path", "/x/orders");

        Assert.That((options.HasMany, options.Name, options.Clusters.Single()), Is.EqualTo((false, "orders", options)));
    }

    [Test]
    public void The_clusters_below_a_root_are_not_known_before_ZooKeeper_is_asked()
    {
        MonitorOptions options = ReadAll("--clusters", "all", "--zkservers", "z", "--znode-path", "/x");

        Assert.That((options.HasMany, options.FindsClusters, options.Clusters.Length, options.ZnodePath),
            Is.EqualTo((true, true, 0, "/x")));
    }

    [Test]
    public void What_holds_for_all_monitors_of_a_cluster_wins_over_its_entry_and_leaves_its_name()
    {
        MonitorOptions orders = Read($$"""{ "zkservers": "z", "clusters": [{{Orders}}] }""").Clusters[0];

        MonitorOptions under = orders.Under(new ClusterConfig
        {
            Nodes = [new ConfiguredNode(new NodeAddress("c", 3))],
            Settings = ClusterConfig.NoSettings.Add("max-failures", "4"),
        });

        Assert.That((under.Name, under.MaxFailures, under.Nodes.Single().ToString()), Is.EqualTo(("orders", 4, "c:3")));
    }

    [Test]
    public void A_cluster_whose_entry_says_the_same_has_nothing_to_begin_anew()
    {
        MonitorOptions Orders(string more) => Read($$"""{ "zkservers": "z", "clusters": [{ "name": "orders", "nodes": "a:1" {{more}} }] }""").Clusters[0];

        Assert.That((Orders("").IsSameClusterAs(Orders("")), Orders("").IsSameClusterAs(Orders(", \"max-failures\": 4"))),
            Is.EqualTo((true, false)));
    }

    [TestCase("""[{ "nodes": "a:1" }]""", "is not allowed; allowed: objects with a name and nodes")]
    [TestCase("""["orders"]""", "'\"orders\"' is not allowed; allowed: objects with a name and nodes")]
    [TestCase("[]", "'[]' is not allowed; allowed: all (")]
    [TestCase("\"some\"", "'some' is not allowed; allowed: all (")]
    [TestCase("""[{ "name": "a/b", "nodes": "a:1" }]""", "'a/b' is not allowed; allowed: 1 to 100 letters, digits and _ - .")]
    [TestCase("""[{ "name": "orders" }]""", "'orders' is not allowed; allowed: clusters with nodes, as in")]
    [TestCase("""[{ "name": "orders", "nodes": "a" }]""", "cluster orders): 'a' is not allowed; allowed: host:port")]
    [TestCase("""[{ "name": "orders", "nodes": "a:1", "max-failures": 0 }]""", "cluster orders): '0' is not allowed; allowed: a whole number, 1 to 100")]
    [TestCase("""[{ "name": "orders", "nodes": "a:1", "session-timeout": "9s" }]""", "cluster orders is no setting of one cluster; allowed: name, nodes, ")]
    [TestCase("""[{ "name": "orders", "nodes": "a:1", "zkservers": "z" }]""", "'zkservers' in ")]
    [TestCase("""[{ "name": "o", "nodes": "a:1" }, { "name": "o", "nodes": "a:2" }]""", "'o' is not allowed; allowed: each name once")]
    [TestCase("""[{ "name": "o", "nodes": "a:1" }, { "name": "p", "nodes": "b:2,a:1" }]""", "'a:1' is a node of o and of p; allowed: each node in one cluster")]
    [TestCase("""[{ "name": "o", "nodes": "a:1", "znode-path": "/x" }, { "name": "p", "nodes": "a:2", "znode-path": "/x" }]""",
        "'/x' is the znode-path of o and of p; allowed: each path once")]
    public void What_is_wrong_with_a_cluster_is_named_with_what_is_allowed_in_one_line(string clusters, string message)
    {
        OptionException failure = Assert.Throws<OptionException>(() => Read($$"""{ "zkservers": "z", "clusters": {{clusters}} }"""))!;

        Assert.That(failure.Message, Does.Contain(message).And.Not.Contain("\n"));
    }

    [Test]
    public void Nodes_beside_clusters_are_refused()
        => Assert.That(
            Assert.Throws<OptionException>(() => Read($$"""{ "zkservers": "z", "nodes": "a:1", "clusters": [{{Orders}}] }"""))!.Message,
            Does.Contain("'a:1' is not allowed; allowed: nothing beside clusters, each of which has its own nodes"));

    private static MonitorOptions Read(string file)
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, file);
            return ReadAll("--config", path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static MonitorOptions ReadAll(params string[] arguments) => OptionSources.Read(arguments, new Hashtable(), out _)!;
}
