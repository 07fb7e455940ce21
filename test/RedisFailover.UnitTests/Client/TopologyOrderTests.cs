using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

/// <summary>Which topology may follow which; epochs are compared within one incarnation only.</summary>
[TestFixture]
public sealed class TopologyOrderTests
{
    [Test]
    public void Before_the_first_any_may_come()
        => Assert.That(new TopologyOrder().PlaceOf(Of(0, null)), Is.EqualTo(TopologyPlace.Next));

    [TestCase("one", 5, "one", 4, nameof(TopologyPlace.Older))]
    [TestCase("one", 5, "one", 5, nameof(TopologyPlace.Next))]
    [TestCase("one", 5, "two", 1, nameof(TopologyPlace.NewIncarnation))]
    [TestCase("one", 5, "two", 9, nameof(TopologyPlace.NewIncarnation))]
    [TestCase(null, 5, null, 4, nameof(TopologyPlace.Older))]
    [TestCase(null, 5, "one", 5, nameof(TopologyPlace.Next), Description = "the monitors were updated")]
    [TestCase(null, 5, "one", 1, nameof(TopologyPlace.NewIncarnation))]
    [TestCase("one", 5, null, 6, nameof(TopologyPlace.Next), Description = "an older monitor leads")]
    [TestCase("one", 5, null, 4, nameof(TopologyPlace.Older))]
    public void Of_two_topologies(string? known, int epoch, string? next, int nextEpoch, string place)
    {
        var order = new TopologyOrder();
        order.Take(Of(epoch, known));
        Assert.That(order.PlaceOf(Of(nextEpoch, next)).ToString(), Is.EqualTo(place));
    }

    [Test]
    public void An_incarnation_that_was_left_is_not_followed_back()
    {
        var order = new TopologyOrder();
        order.Take(Of(5, "one"));
        order.Take(Of(1, "two"));
        Assert.That(order.PlaceOf(Of(9, "one")), Is.EqualTo(TopologyPlace.FormerIncarnation));
        Assert.That(order.PlaceOf(Of(2, "two")), Is.EqualTo(TopologyPlace.Next));
    }

    [Test]
    public void Nor_one_that_the_monitors_left()
    {
        var order = new TopologyOrder();
        order.Take(Of(6, "three") with { FormerIncarnations = ["one", "two"] });
        Assert.That(order.PlaceOf(Of(9, "one")), Is.EqualTo(TopologyPlace.FormerIncarnation));
    }

    [Test]
    public void An_older_monitor_that_leaves_the_incarnation_out_does_not_end_it()
    {
        var order = new TopologyOrder();
        order.Take(Of(5, "one"));
        order.Take(Of(6, null));
        Assert.That(order.Current.Incarnation, Is.EqualTo("one"));
        Assert.That(order.PlaceOf(Of(1, "two")), Is.EqualTo(TopologyPlace.NewIncarnation));
    }

    private static Topology Of(long epoch, string? incarnation)
        => new() { Epoch = epoch, Incarnation = incarnation, State = TopologyState.NoMaster };
}
