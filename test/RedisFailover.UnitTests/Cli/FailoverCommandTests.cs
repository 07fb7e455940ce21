using NUnit.Framework;
using RedisFailover.Cli.Commands;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class FailoverCommandTests
{
    private static readonly NodeAddress Master = new("a", 1);
    private static readonly NodeAddress Replica = new("b", 2);
    private static readonly NodeAddress Down = new("c", 3);
    private static readonly Topology Ok = new() { Master = Master, Replicas = [Replica], Unavailable = [Down], State = TopologyState.Ok, Epoch = 1 };

    [Test]
    public void A_replica_and_any_replica_may_be_asked_for()
    {
        Assert.That(FailoverCommand.Refuse(Ok, Replica, pendingWish: null), Is.Null);
        Assert.That(FailoverCommand.Refuse(Ok, target: null, pendingWish: null), Is.Null);
    }

    [Test]
    public void A_node_that_is_no_replica_is_refused_and_the_replicas_are_named()
        => Assert.That(FailoverCommand.Refuse(Ok, Down, pendingWish: null), Is.EqualTo("c:3 is not a replica; the replicas: b:2."));

    [Test]
    public void A_second_wish_is_refused_while_the_first_is_not_done()
        => Assert.That(FailoverCommand.Refuse(Ok, Replica, "ANY_SLAVE"), Does.Contain("failover to ANY_SLAVE was asked for already"));

    [Test]
    public void A_wish_is_refused_while_the_master_changes()
    {
        Topology changing = Ok with { Master = null, State = TopologyState.FailingOver, Reason = "a:1 refuses" };
        Assert.That(FailoverCommand.Refuse(changing, Replica, pendingWish: null), Is.EqualTo("a change of master is under way: a:1 refuses"));
    }

    [Test]
    public void Without_any_master_the_operator_may_choose_whichever_node_there_is()
        => Assert.That(FailoverCommand.Refuse(Ok with { Master = null, State = TopologyState.NoMaster }, Down, pendingWish: null), Is.Null);
}
