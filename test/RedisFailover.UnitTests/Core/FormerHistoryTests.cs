using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

/// <summary>What the histories of masters before the last tell of a replica that followed none since.</summary>
[TestFixture]
public sealed class FormerHistoryTests
{
    private static readonly MasterIdentity First = new("a", "X", null, 200, HasData: true);
    private static readonly MasterIdentity Second = new("b", "Y", "X", 300, HasData: true) { PreviousHistoryEnd = 201 };
    private static readonly MasterIdentity Third = new("c", "Z", "Y", 400, HasData: true) { PreviousHistoryEnd = 301 };

    [Test]
    public void They_are_kept_from_master_to_master() => Assert.Multiple(() =>
    {
        Topology topology = Topology.None with { Identity = First } with { Identity = Second } with { Identity = Third };
        Assert.That(topology.Identity!.Former, Is.EqualTo(new FormerHistory("X", 201)));
        // Heard again, as it tells of itself: it is the same.
        Assert.That((topology with { Identity = Third with { Offset = 500 } }).Identity!.Former, Is.EqualTo(new FormerHistory("X", 201)));
        Assert.That((topology with { Identity = new MasterIdentity("d", "Q", "P", 1, HasData: true) }).Identity!.Former, Is.Null);
    });

    [TestCase(150, 150)]
    [TestCase(200, 200)]
    [TestCase(250, 200)]
    public void A_replica_of_the_first_has_what_the_second_took_over(long offset, long common)
    {
        MasterIdentity third = First.Then(Second).Then(Third);
        var replica = new NodeInfo { Role = NodeRole.Replica, RunId = "r", ReplicationId = "X", Offset = offset };
        Assert.That((replica.SharesHistoryWith(third), replica.CommonOffset(third)), Is.EqualTo((true, (long?)common)));
    }

    [Test]
    public void Where_it_is_not_known_when_the_two_parted_it_shares_the_history_and_nobody_knows_how_much()
    {
        MasterIdentity third = First.Then(Second with { PreviousHistoryEnd = -1 }).Then(Third);
        var replica = new NodeInfo { Role = NodeRole.Replica, RunId = "r", ReplicationId = "X", Offset = 150 };
        Assert.That((replica.SharesHistoryWith(third), replica.CommonOffset(third)), Is.EqualTo((true, (long?)null)));
    }

    [Test]
    public void So_many_are_kept_and_no_more()
    {
        MasterIdentity last = First;
        for (int i = 1; i <= 20; i++)
        {
            last = last.Then(
                new MasterIdentity($"{i}", $"H{i}", last.ReplicationId, 100 * i, HasData: true) { PreviousHistoryEnd = 100 * i });
        }

        Assert.That(last.Former!.All().Count(), Is.EqualTo(FormerHistory.Most));
        Assert.That(last.Former.Id, Is.EqualTo("H18"));
    }
}
