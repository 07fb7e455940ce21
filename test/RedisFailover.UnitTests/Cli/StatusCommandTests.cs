using System.Collections.Immutable;
using NUnit.Framework;
using RedisFailover.Cli.Cluster;
using RedisFailover.Cli.Commands;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class StatusCommandTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly LeaderInfo Leader = new("m1", "host", 1, "today");
    private static readonly Topology Ok = new() { Master = A, State = TopologyState.Ok, Epoch = 2, Reason = "all is well", ChangedBy = "m1" };

    [Test]
    public void Each_state_has_its_own_word_on_whether_a_failover_would_work()
    {
        Assert.Multiple(() =>
        {
            Assert.That(Line("failover", Ok, null), Is.EqualTo("failover would NOT work now: no monitor leads; start the monitors"));
            Assert.That(Line("failover", Ok, Leader), Is.EqualTo("failover not known yet: m1 leads and has not told its view"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.FailingOver }, Leader), Is.EqualTo("failover under way, writes wait: see the reason"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.FailingOver }, null),
                Is.EqualTo("failover begun, and no monitor leads that could finish it: start the monitors"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.NoMaster }, Leader), Is.EqualTo("failover not possible, there is no master yet: see the reason"));
            Assert.That(Line("failover", Ok with { State = TopologyState.SwitchingOver }, Leader), Is.EqualTo("failover not asked now: a switchover is under way"));
        });
    }

    [Test]
    public void It_tells_the_last_change_and_why_a_node_is_left_alone()
    {
        Topology topology = Ok with
        {
            Unavailable = [new NodeAddress("c", 1)],
            Remarks = ImmutableSortedDictionary<NodeAddress, string>.Empty.Add(new NodeAddress("c", 1), "left alone, because"),
            LastChange = new HistoryEntry
            {
                Kind = HistoryKind.Failover, Epoch = 2, From = new NodeAddress("b", 1), To = A, BytesBehind = 12, Reason = "b:1 is lost",
                At = new DateTimeOffset(2026, 11, 22, 3, 0, 0, TimeSpan.Zero),
            },
        };
        Assert.That(Line("note", topology, Leader), Is.EqualTo("note     c:1: left alone, because"));
        Assert.That(Line("last", topology, Leader), Is.EqualTo("last     2026-11-22T03:00:00.000Z failover b:1 -> a:1, possible loss 12 bytes: b:1 is lost"));
    }

    private static string Line(string first, Topology topology, LeaderInfo? leader)
    {
        using var output = new StringWriter();
        StatusCommand.Print(new ClusterState { Topology = topology, TopologyJson = TopologyJson.Write(topology), Leader = leader }, output);
        return output.ToString().Split('\n').Single(l => l.StartsWith(first + " ", StringComparison.Ordinal)).TrimEnd();
    }
}
