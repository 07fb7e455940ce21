using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.Monitor.Http;

namespace RedisFailover.UnitTests.Monitor;

/// <summary>What a load balancer is told of a node.</summary>
[TestFixture]
public sealed class NodeCheckTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly NodeAddress B = new("b", 1);

    [Test]
    public void The_master_of_the_topology_takes_writes_and_a_replica_does_not() => Assert.Multiple(() =>
    {
        Assert.That(NodeCheck.IsMaster(View(), A).Yes, Is.True);
        Assert.That(NodeCheck.IsMaster(View(), B), Is.EqualTo((false, "the master is a:1")));
        Assert.That(NodeCheck.IsReplica(View(), B, null).Yes, Is.True);
        Assert.That(NodeCheck.IsReplica(View(), A, null).Yes, Is.False);
    });

    [Test]
    public void A_master_that_says_that_it_is_a_replica_takes_none()
        => Assert.That(NodeCheck.IsMaster(View(master: Info(NodeRole.Replica, 100)), A),
            Is.EqualTo((false, "it says that it is a replica")));

    [Test]
    public void A_master_that_does_not_answer_takes_none()
    {
        ClusterView view = View();
        view = view with { Nodes = view.Nodes.SetItem(A, view.Node(A) with { Condition = NodeCondition.Unavailable, Detail = "refused" }) };

        Assert.That(NodeCheck.IsMaster(view, A), Is.EqualTo((false, "it does not answer: refused")));
    }

    [Test]
    public void A_master_that_this_monitor_has_not_heard_takes_none_yet()
    {
        ClusterView view = View();
        view = view with { Nodes = view.Nodes.SetItem(A, new NodeView(A)) };

        Assert.That(NodeCheck.IsMaster(view, A), Is.EqualTo((false, "it has not answered this monitor yet")));
    }

    [TestCase(100, true)]
    [TestCase(99, false)]
    [TestCase(null, true)]
    public void A_replica_is_read_from_while_it_lacks_no_more_than_asked(int? most, bool expected)
        => Assert.That(NodeCheck.IsReplica(View(), B, most).Yes, Is.EqualTo(expected));

    [Test]
    public void A_replica_without_a_link_is_not_said_to_lack_nothing()
        => Assert.That(NodeCheck.IsReplica(View(replica: Info(NodeRole.Replica, 0) with { LinkUp = false }), B, 1000).Yes, Is.False);

    [TestCase("1048576", 1 << 20)]
    [TestCase("512kb", 512 << 10)]
    [TestCase("1MB", 1 << 20)]
    [TestCase("-1", null)]
    [TestCase("many", null)]
    [TestCase("99999999999999999999", null)]
    public void Bytes_are_given_with_or_without_a_unit(string text, long? expected)
        => Assert.That(NodeCheck.Bytes(text), Is.EqualTo(expected));

    private static NodeInfo Info(NodeRole role, long offset)
        => new() { Role = role, RunId = "r", ReplicationId = "x", Offset = offset, LinkUp = role == NodeRole.Replica };

    private static ClusterView View(NodeInfo? master = null, NodeInfo? replica = null) => new()
    {
        Topology = new Topology { Master = A, Replicas = [B], Epoch = 3, State = TopologyState.Ok },
        Nodes = ImmutableSortedDictionary<NodeAddress, NodeView>.Empty
            .Add(A, new NodeView(A) { Condition = NodeCondition.Online, Info = master ?? Info(NodeRole.Master, 500) })
            .Add(B, new NodeView(B) { Condition = NodeCondition.Online, Info = replica ?? Info(NodeRole.Replica, 400) }),
    };
}
