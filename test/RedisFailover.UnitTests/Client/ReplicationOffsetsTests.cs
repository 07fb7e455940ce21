using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class ReplicationOffsetsTests
{
    [Test]
    public void A_replica_is_as_fresh_as_the_latest_question_that_it_has_caught_up_with()
    {
        ReplicationOffsets master = new();
        master.Add(10, new ReplicationPlace("a", 100));
        master.Add(20, new ReplicationPlace("a", 200));
        master.Add(30, new ReplicationPlace("a", 200));
        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 99)), Is.Null);
        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 199)), Is.EqualTo(10));
        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 200)), Is.EqualTo(30), "nothing was written meanwhile: it lacks nothing");
    }

    [Test]
    public void Offsets_of_another_history_do_not_compare()
    {
        ReplicationOffsets master = new();
        master.Add(10, new ReplicationPlace("a", 100));
        Assert.That(master.FreshAsOf(new ReplicationPlace("b", 500)), Is.Null);
        master.Add(20, new ReplicationPlace("b", 400));
        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 100)), Is.Null, "another master now");
        Assert.That(master.FreshAsOf(new ReplicationPlace("b", 400)), Is.EqualTo(20));
    }

    [Test]
    public void A_replica_far_behind_is_not_fresh_at_all()
    {
        ReplicationOffsets master = new();
        for (int i = 1; i <= 1000; i++)
        {
            master.Add(i, new ReplicationPlace("a", i));
        }

        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 500)), Is.Null);
        Assert.That(master.FreshAsOf(new ReplicationPlace("a", 990)), Is.EqualTo(990));
    }

    [Test]
    public void What_INFO_says() => Assert.Multiple(() =>
    {
        const string Master = "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:abc\r\nmaster_repl_offset:42\r\n";
        const string Replica =
            "# Replication\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:41\r\nmaster_replid:abc\r\nmaster_repl_offset:43\r\n";
        Assert.That(ReplicationPlace.Parse(Master, replica: false), Is.EqualTo(new ReplicationPlace("abc", 42)));
        Assert.That(ReplicationPlace.Parse(Replica, replica: true), Is.EqualTo(new ReplicationPlace("abc", 41)), "what it has applied");
        Assert.That(ReplicationPlace.Parse(Replica, replica: false), Is.Null, "it is no master");
        Assert.That(ReplicationPlace.Parse(Master, replica: true), Is.Null, "it is no replica");
        Assert.That(ReplicationPlace.Parse(Replica.Replace("in_progress:0", "in_progress:1"), replica: true), Is.Null,
            "it copies everything anew");
        Assert.That(ReplicationPlace.Parse("", replica: true), Is.Null);
    });
}
