using System.Collections.Immutable;
using System.Net.Sockets;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Cases;

/// <summary>Whose connections a new leader ends on the nodes: those of its own cluster's former leaders, and nobody else's.</summary>
[TestFixture]
[Parallelizable(ParallelScope.All)]
public sealed class FenceTests
{
    [Test]
    public async Task Two_ensembles_with_one_path_end_none_of_each_others_connections()
    {
        await using Cluster ours = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, Redis = 2 });
        await ours.WaitUntilWholeAsync();
        await using ZooKeeperEnsemble elsewhere = await ZooKeeperEnsemble.StartAsync(size: 1);
        ImmutableArray<Connection> before = await LeadersAsync(ours, of: 1);
        await using MonitorProcess other = await MonitorProcess.StartAsync(
            ours.Monitors[0].Options with { Id = "other", ZooKeepers = elsewhere.ConnectionString });
        ImmutableArray<Connection> both = await LeadersAsync(ours, of: 2);
        Assert.That(before.Except(both), Is.Empty, ours.Explain());

        // A new term there, whose leader has to end the connections of the one before.
        await other.KillAsync();
        await LeadersAsync(ours, of: 1);
        await other.RestartAsync();
        both = await LeadersAsync(ours, of: 2);
        Assert.That(before.Except(both), Is.Empty, ours.Explain());
    }

    [Test]
    public async Task After_the_store_was_lost_a_frozen_leaders_connections_are_ended_on_every_node()
    {
        await using Cluster cluster = await Cluster.StartAsync(Told.Calm() with { Monitors = 1, OwnZooKeeper = true });
        await cluster.WaitUntilWholeAsync();
        ImmutableArray<Connection> before = await LeadersAsync(cluster, of: 1);
        MonitorProcess frozen = cluster.Monitors[0];
        frozen.Freeze();
        await cluster.ZooKeeper.Servers[0].KillAndWipeAsync();
        await cluster.ZooKeeper.Servers[0].StartAsync();
        await Eventually.HoldsAsync(
            "It is silent", _ => ConnectionsAsync(cluster), all => all.Intersect(before).All(c => c.IdleSeconds >= 2));
        await cluster.StartMonitorAsync();
        await Eventually.HoldsAsync(
            "Its connections are ended", _ => ConnectionsAsync(cluster), all => !all.Intersect(before).Any(), explain: cluster.Explain);
        await LeadersAsync(cluster, of: 1);
        frozen.Thaw();
    }

    [Test]
    public async Task A_list_of_clients_that_a_node_would_end_the_connection_over_keeps_no_leader_from_acting()
    {
        ClusterOptions options = Told.Calm() with { Monitors = 2 };
        await using Cluster cluster = await Cluster.StartAsync(
            options with { RedisOptions = options.RedisOptions with { ConfLines = ["client-output-buffer-limit normal 16kb 8kb 60"] } });
        NodeAddress master = (await cluster.WaitUntilWholeAsync()).Master!;
        List<TcpClient> many = [];
        try
        {
            foreach (NodeAddress node in cluster.Addresses)
            {
                for (int i = 0; i < 150; i++)
                {
                    many.Add(new TcpClient(node.Host, node.Port));
                }
            }

            Problem told = await cluster.WaitUntilToldAsync("fence-not-set", cluster.Addresses[1]);
            Assert.That(told.Message, Does.Contain("client-output-buffer-limit normal is 16384 bytes"));
            MonitorProcess former = await cluster.LeaderAsync();
            await former.KillAsync();
            await cluster.WaitForOtherLeaderAsync(former);
            await cluster.WaitUntilWouldWorkAsync();
            cluster.Node(master).Kill();
            await cluster.WaitForOtherMasterAsync(master);
        }
        finally
        {
            many.ForEach(client => client.Dispose());
        }
    }

    /// <summary>Waits until each node has connections of so many leaders, without any command that a change of master needs.</summary>
    private static Task<ImmutableArray<Connection>> LeadersAsync(Cluster cluster, int of)
        => Eventually.HoldsAsync(
            $"Each node has connections of {of} leaders",
            _ => ConnectionsAsync(cluster),
            all => cluster.Redis.All(node => all.Count(c => c.Node == node.Address) == of)
                && all.Select(c => c.Name).Distinct().Count() == of && all.All(c => !c.Name.Contains(":-:", StringComparison.Ordinal)),
            explain: cluster.Explain);

    private static async Task<ImmutableArray<Connection>> ConnectionsAsync(Cluster cluster)
    {
        List<Connection> found = [];
        foreach (RedisServer node in cluster.Redis)
        {
            string list = (await node.CommandAsync("CLIENT", "LIST")).Text!;
            found.AddRange(
                from line in list.Split('\n')
                let fields = line.Split(' ').Select(field => field.Split('=', 2)).Where(f => f.Length == 2)
                    .ToDictionary(f => f[0], f => f[1])
                where fields.GetValueOrDefault("name", "").StartsWith("redis-failover-leader:", StringComparison.Ordinal)
                select new Connection(node.Address, fields["id"], fields["name"])
                {
                    IdleSeconds = int.Parse(fields["idle"], System.Globalization.CultureInfo.InvariantCulture),
                });
        }

        return [.. found];
    }

    /// <summary>A connection to a node, as its list of clients shows it.</summary>
    private sealed record Connection(NodeAddress Node, string Id, string Name)
    {
        public int IdleSeconds { get; init; }

        /// <summary>The same connection, however long it has been silent.</summary>
        public bool Equals(Connection? other) => other is not null && (Node, Id, Name) == (other.Node, other.Id, other.Name);

        public override int GetHashCode() => HashCode.Combine(Node, Id, Name);
    }
}
