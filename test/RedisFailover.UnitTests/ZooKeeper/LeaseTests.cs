using NUnit.Framework;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

[TestFixture]
public sealed class LeaseTests
{
    private static readonly TimeSpan Half = TimeSpan.FromSeconds(2);

    [Test]
    public void It_holds_from_the_time_of_sending_and_not_from_that_of_the_answer()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        Assert.That(lease.IsHeld, Is.False, "nothing was acknowledged yet");
        Moment sent = Moment.Now(time);
        time.Advance(TimeSpan.FromMilliseconds(1500));
        lease.Renew(sent, Half);
        Assert.That(lease.Remaining, Is.EqualTo(TimeSpan.FromMilliseconds(500)));
        time.Advance(TimeSpan.FromMilliseconds(500));
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void An_answer_that_comes_late_does_not_shorten_a_newer_grant()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        Moment early = Moment.Now(time);
        time.Advance(TimeSpan.FromSeconds(1));
        lease.Renew(Moment.Now(time), Half);
        lease.Renew(early, Half);
        Assert.That(lease.Remaining, Is.EqualTo(Half));
    }

    [Test]
    public void Case_25_a_suspended_machine_finds_its_lease_gone_though_its_monotonic_clock_stood_still()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        lease.Renew(Moment.Now(time), Half);
        Assert.That(lease.IsHeld, Is.True);
        time.Suspend(TimeSpan.FromMinutes(5));
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void Case_25_a_beat_that_is_only_sent_does_not_revive_what_ended_while_the_machine_slept()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        lease.Renew(Moment.Now(time), TimeSpan.FromMilliseconds(1800));
        time.Advance(TimeSpan.FromMilliseconds(600));
        time.Suspend(TimeSpan.FromHours(1));
        lease.Limit(Moment.Now(time), TimeSpan.FromMilliseconds(500));
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void A_wall_clock_that_is_set_back_does_not_lengthen_it()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        lease.Renew(Moment.Now(time), Half);
        time.Suspend(-TimeSpan.FromHours(1));
        time.Advance(Half);
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void Once_ended_no_renewal_brings_it_back()
    {
        var time = new ManualTime();
        var lease = new Lease(time, () => Half);
        lease.Renew(Moment.Now(time), Half);
        lease.End();
        lease.Renew(Moment.Now(time), Half);
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void A_shorter_session_timeout_shortens_it_at_once_and_a_longer_one_does_not_lengthen_it()
    {
        var time = new ManualTime();
        TimeSpan longest = Half;
        var lease = new Lease(time, () => longest);
        lease.Renew(Moment.Now(time), Half);
        longest = Half * 2;
        Assert.That(lease.Remaining, Is.EqualTo(Half));
        time.Advance(TimeSpan.FromMilliseconds(300));
        longest = TimeSpan.FromMilliseconds(500);
        Assert.That(lease.Remaining, Is.EqualTo(TimeSpan.FromMilliseconds(200)));
        time.Advance(TimeSpan.FromMilliseconds(200));
        Assert.That(lease.IsHeld, Is.False);
    }
}
