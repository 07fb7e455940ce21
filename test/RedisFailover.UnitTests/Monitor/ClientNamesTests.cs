using NUnit.Framework;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class ClientNamesTests
{
    private static readonly ClientNames s_ours = new("/redis_failover", "m1", "m1/a"), s_others = new("/another", "m1", "m1/a");

    [Test]
    public void Leaders_of_other_terms_of_the_same_cluster_are_found_and_nobody_else()
    {
        string mine = s_ours.Leader(7);
        // As the releases before 0.2 named them.
        string old = string.Join(':', s_ours.Leader(5).Split(':')[..3]);
        string list = $"""
            id=3 addr=127.0.0.1:1 name= db=0
            id=4 addr=127.0.0.1:2 laddr=127.0.0.1:9 fd=8 name={s_ours.Leader(6)} age=1
            id=5 addr=127.0.0.1:3 name={mine} age=1
            id=6 addr=127.0.0.1:4 name={s_ours.Leader(12)} age=1
            id=7 addr=127.0.0.1:5 name={s_others.Leader(6)} age=1
            id=8 addr=127.0.0.1:6 name=redis-failover age=1
            id=9 addr=127.0.0.1:7 name={s_ours.Monitor} age=1
            id=10 addr=127.0.0.1:8 name={old} age=1

            """;
        Assert.That(s_ours.FormerLeaders(list, mine), Is.EqualTo(new[] { "4", "6", "10" }));
    }

    [Test]
    public void A_leader_of_the_same_term_after_the_store_was_lost_is_another()
    {
        var again = new ClientNames("/redis_failover", "m2", "m2/b");
        Assert.That(again.FormerLeaders($"id=4 name={s_ours.Leader(1)}", again.Leader(1)), Is.EqualTo(new[] { "4" }));
    }

    [Test]
    public void Who_else_manages_a_node_is_known_by_its_connections()
    {
        ClientNames elsewhere = Of("b"), here = Of("a");
        string list = $"""
            id=3 addr=10.0.0.1:1 name={here.Leader(7)}
            id=4 addr=10.0.0.2:1 name={here.Monitor}
            id=5 addr=10.0.0.3:1 name={s_others.Leader(6)}
            id=6 addr=10.0.0.4:1 name={s_others.Monitor}
            id=7 addr=10.0.0.5:1 name=sentinel-3c1e5a2b-cmd
            id=8 addr=10.0.0.5:2 name=sentinel-3c1e5a2b-pubsub
            id=9 addr=10.0.0.6:1 name={elsewhere.Leader(7)}
            id=10 addr=10.0.0.7:1 name=app
            id=11 addr=10.0.0.8:1 name={elsewhere.Monitor}
            """;
        Assert.That(here.Foreign(list).Select(c => (c.Kind, c.Address)), Is.EqualTo(new[]
        {
            (ControllerKind.Leader, "10.0.0.3:1"), (ControllerKind.Monitor, "10.0.0.4:1"), (ControllerKind.Sentinel, "10.0.0.5:1"),
            (ControllerKind.Leader, "10.0.0.6:1"), (ControllerKind.Monitor, "10.0.0.8:1"),
        }));
        Assert.That(here.FormerLeaders(list, here.Leader(8)), Is.EqualTo(new[] { "3" }));
    }

    [Test]
    public void Leaders_of_the_stores_before_are_former_leaders_and_another_ensembles_is_none()
    {
        ClientNames other = Of("other"), before = Of("one"), restarted = new("/redis_failover", "m2", "m2/b");
        ClientNames now = Of("one");
        Assert.That(now.Learn(new Topology { Incarnation = "two" }), "the store was lost while this monitor lived");
        ClientNames told = Of("two", "one");
        string list = $"""
            id=1 name={before.Leader(9)} idle=0
            id=2 name={other.Leader(9)} idle=1
            id=3 name={other.Leader(8)} idle=2
            id=4 name={now.Leader(1)} idle=0
            """;
        Assert.Multiple(() =>
        {
            Assert.That(now.FormerLeaders(list, now.Leader(2)), Is.EqualTo(new[] { "1", "3", "4" }));
            Assert.That(told.FormerLeaders(list, told.Leader(2)), Is.EqualTo(new[] { "1", "3", "4" }));
            // In a store without a topology nobody is known but by silence.
            Assert.That(restarted.FormerLeaders(list, restarted.Leader(1)), Is.EqualTo(new[] { "3" }));
            Assert.That(restarted.Foreign(list), Is.Empty);
        });
    }

    [Test]
    public void The_name_changes_with_the_incarnation_alone()
    {
        ClientNames names = new("/redis_failover", "m1", "m1/a");
        string unknown = names.Leader(1);
        Assert.That(names.Learn(null), Is.False);
        Assert.That(names.Learn(new Topology { Epoch = 1 }), Is.False, "an older monitor wrote it");
        Assert.That(names.Learn(new Topology { Incarnation = "one" }), Is.True);
        Assert.That(names.Learn(new Topology { Incarnation = "one", Epoch = 2 }), Is.False);
        Assert.That(names.Leader(1), Is.Not.EqualTo(unknown));
    }

    [Test]
    public void The_name_holds_nothing_that_a_connection_may_not_be_named()
    {
        var odd = new ClientNames("/with ünusual names", "host name:ü", "c");
        Assert.That(odd.Leader(1), Does.Match("^[!-~]+$"));
        Assert.That(odd.Monitor, Does.Match("^[!-~]+$"));
    }

    private static ClientNames Of(string incarnation, params string[] former)
    {
        var names = new ClientNames("/redis_failover", "m1", "m1/a");
        names.Learn(new Topology { Incarnation = incarnation, FormerIncarnations = [.. former] });
        return names;
    }
}
