using System.Runtime.CompilerServices;
using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>Which node a call is given; the nodes are never connected, only their identity counts.</summary>
[TestFixture]
public sealed class SnapshotTests
{
    private readonly LiveNode _master = Node(5);
    private readonly LiveNode _near = Node(1);
    private readonly LiveNode _far = Node(9);

    [Test]
    public void The_nearest_answers_reads_be_it_the_master()
    {
        Assert.That(Readers(Of(ReadFrom.Nearest, [_near, _far])), Is.EquivalentTo(new[] { _near }));
        Assert.That(Readers(Of(ReadFrom.Nearest, [_far])), Is.EquivalentTo(new[] { _master }));
    }

    [Test]
    public void Preferred_nodes_answer_reads_as_long_as_there_are_any()
    {
        LiveNode other = Node(1, preferred: false);
        LiveNode another = Node(1, preferred: false);
        Assert.That(Readers(Of(ReadFrom.PreferReplica, [other, _far])), Is.EquivalentTo(new[] { _far }));
        Assert.That(Readers(Of(ReadFrom.Replica, [other, _far])), Is.EquivalentTo(new[] { _far }));
        Assert.That(Readers(Of(ReadFrom.Nearest, [other, _far])), Is.EquivalentTo(new[] { _master }), "the nearer of the preferred ones");
        Assert.That(Readers(Of(ReadFrom.PreferReplica, [other, another])), Is.EquivalentTo(new[] { other, another }));
        Assert.That(Readers(Of(ReadFrom.PreferReplica, [other, _far]), CommandFlags.PreferReplica), Is.EquivalentTo(new[] { _far }),
            "also when the flags ask for a replica");
    }

    [Test]
    public void Replicas_that_lag_too_far_are_as_if_they_were_not_there()
    {
        LiveNode[] replicas = [_near, _far];
        Assert.That(Readers(Of(ReadFrom.PreferReplica, replicas, [_far])), Is.EquivalentTo(new[] { _far }));
        Assert.That(Readers(Of(ReadFrom.PreferReplica, replicas, [])), Is.EquivalentTo(new[] { _master }));
        Assert.That(Readers(Of(ReadFrom.Nearest, replicas, [_far])), Is.EquivalentTo(new[] { _master }));
        Assert.That(Of(ReadFrom.Replica, replicas, []).NodeFor(CommandClass.Read, CommandFlags.None), Is.Null);
        Assert.That(Of(ReadFrom.PreferReplica, replicas, []).NodeFor(CommandClass.Read, CommandFlags.DemandReplica), Is.Null);
    }

    [TestCase("Read", true)]
    [TestCase("Either", true)]
    [TestCase("Unsure", false)]
    [TestCase("Write", false)]
    public void While_writes_are_held_what_reads_goes_on_at_the_master_also_when_its_flags_prefer_a_replica(string kind, bool goesOn)
    {
        var held = new Snapshot(new Topology { Epoch = 1 }, _master, [], ReadFrom.PreferReplica, hold: WriteHold.ZooKeeperSilent);
        Assert.That(held.NodeFor(Enum.Parse<CommandClass>(kind), CommandFlags.PreferReplica), Is.SameAs(goesOn ? _master : null));
    }

    [Test]
    public void Reads_are_balanced_also_for_a_caller_that_alternates_between_two_kinds()
    {
        LiveNode[] replicas = [Node(1), Node(1), Node(1)];
        Snapshot snapshot = Of(ReadFrom.PreferReplica, replicas);
        var counts = new int[2, 3];
        for (int i = 0; i < 60_000; i++)
        {
            counts[i % 2, Array.IndexOf(replicas, snapshot.NodeFor(CommandClass.Read, CommandFlags.None))]++;
        }

        foreach (int count in counts)
        {
            Assert.That(count / 30_000d, Is.EqualTo(1 / 3d).Within(0.02));
        }
    }

    private Snapshot Of(ReadFrom readFrom, LiveNode[] replicas, LiveNode[]? fresh = null)
        => new(new Topology { Epoch = 1 }, _master, replicas, readFrom, fresh);

    private static HashSet<LiveNode> Readers(Snapshot snapshot, CommandFlags flags = CommandFlags.None)
        => [.. Enumerable.Range(0, 200).Select(_ => snapshot.NodeFor(CommandClass.Read, flags)!)];

    private static LiveNode Node(int millis, bool preferred = true)
    {
        var node = (LiveNode)RuntimeHelpers.GetUninitializedObject(typeof(LiveNode));
        node.Latency = TimeSpan.FromMilliseconds(millis);
        node.IsPreferred = preferred;
        return node;
    }
}
