using NUnit.Framework;
using RedisFailover.UnitTests.Simulation;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>Never two leaders, by the rules; and two soon, without any one of them.</summary>
[TestFixture]
public sealed class LeaseSimulationTests
{
    [Test]
    public void With_clocks_that_go_wrong_by_10_percent_and_every_disturbance_no_two_hold_a_lease_and_somebody_leads_in_the_end()
    {
        int takeovers = 0;
        for (ulong seed = 1; seed <= 100; seed++)
        {
            var run = new LeaseSimulation(seed, LeaseFault.None);
            try
            {
                run.Run(30 * World.Second);
            }
            catch (Violation e)
            {
                Assert.Fail($"seed {seed}: {e.Message}");
            }

            takeovers += run.Takeovers;
        }

        Assert.That(takeovers, Is.GreaterThan(50), "otherwise nothing was tried");
    }

    [TestCase(LeaseFault.PublicationRenews)]
    [TestCase(LeaseFault.TermIsNotChecked)]
    [TestCase(LeaseFault.LengthStandsElsewhere)]
    [TestCase(LeaseFault.LongerThanTheSession)]
    [TestCase(LeaseFault.TooSoon)]
    [TestCase(LeaseFault.ShorterFromTheAnswer)]
    [TestCase(LeaseFault.FromTheAnswer)]
    public void Without_a_rule_two_lead_at_one_time(LeaseFault fault)
    {
        for (ulong seed = 1; seed <= 1000; seed++)
        {
            try
            {
                new LeaseSimulation(seed, fault).Run(30 * World.Second);
            }
            catch (Violation e) when (e.Message.Contains("hold a lease", StringComparison.Ordinal))
            {
                TestContext.Out.WriteLine($"seed {seed}: {e.Message}");
                return;
            }
            catch (Violation)
            {
                // Nobody leads: a consequence, too.
            }
        }

        Assert.Fail("not noticed in 1000 runs");
    }

    [Test]
    public void The_length_is_three_times_the_longest_recent_write_at_least_what_was_asked_for_at_most_half_a_session()
    {
        var length = new LeaseLength(TimeSpan.FromMilliseconds(500));
        TimeSpan T = TimeSpan.FromSeconds(4);
        Assert.That(length.At(default, T), Is.EqualTo(TimeSpan.FromMilliseconds(500)));
        length.Wrote(TimeSpan.FromMilliseconds(160), TimeSpan.FromSeconds(1));
        Assert.That(length.At(TimeSpan.FromSeconds(1), T), Is.EqualTo(TimeSpan.FromMilliseconds(500)));
        length.Wrote(TimeSpan.FromMilliseconds(310), TimeSpan.FromSeconds(2));
        Assert.That(length.At(TimeSpan.FromSeconds(2), T), Is.EqualTo(TimeSpan.FromMilliseconds(1000)));
        length.Wrote(TimeSpan.FromSeconds(2.2), TimeSpan.FromSeconds(3));
        Assert.That(length.At(TimeSpan.FromSeconds(3), T), Is.EqualTo(TimeSpan.FromSeconds(2)));
        Assert.That(length.Wanted(TimeSpan.FromSeconds(3)), Is.EqualTo(TimeSpan.FromSeconds(6.6)));
        Assert.That(length.At(TimeSpan.FromSeconds(14), T), Is.EqualTo(TimeSpan.FromMilliseconds(500)), "it shrinks again");
        length.Deposed(TimeSpan.FromSeconds(14));
        Assert.That(length.At(TimeSpan.FromSeconds(15), T), Is.EqualTo(TimeSpan.FromSeconds(1)));
        Assert.That(length.At(TimeSpan.FromMinutes(11), T), Is.EqualTo(TimeSpan.FromMilliseconds(500)));
    }

    [Test]
    public void A_longer_lease_counts_from_its_answer_and_a_shorter_one_from_its_sending()
    {
        var time = new ManualTime();
        var beats = new SentBeats(time);
        var lease = new Lease(time, () => TimeSpan.MaxValue);
        Beat first = Send(1500);
        beats.Acknowledge(first);
        lease.Renew(first.SentAt, beats.Bounded(first));
        Assert.That(lease.Remaining.TotalMilliseconds, Is.EqualTo(1500));
        time.Advance(TimeSpan.FromMilliseconds(100));
        Send(500);
        Assert.That(lease.Remaining.TotalMilliseconds, Is.EqualTo(500), "it may be read from now on");
        time.Advance(TimeSpan.FromMilliseconds(100));
        Beat third = Send(2000);
        Assert.That(lease.Remaining.TotalMilliseconds, Is.EqualTo(400));
        beats.Acknowledge(third);
        lease.Renew(third.SentAt, beats.Bounded(third));
        Assert.That(lease.Remaining.TotalMilliseconds, Is.EqualTo(2000));

        Beat Send(int millis)
        {
            Beat beat = beats.Send(TimeSpan.FromMilliseconds(millis));
            lease.Limit(beat.SentAt, beat.Length);
            return beat;
        }
    }

    [Test]
    public void The_answer_to_a_longer_one_that_comes_after_a_shorter_one_was_sent_gives_no_more_than_that()
    {
        var time = new ManualTime();
        var beats = new SentBeats(time);
        Beat longer = beats.Send(TimeSpan.FromMilliseconds(1500));
        time.Advance(TimeSpan.FromMilliseconds(100));
        Beat shorter = beats.Send(TimeSpan.FromMilliseconds(500));
        SentBeats.Lose(shorter);
        beats.Acknowledge(longer);
        Assert.That(beats.Bounded(longer).TotalMilliseconds, Is.EqualTo(600));
    }

    [Test]
    public void An_answer_that_is_read_after_the_machine_has_slept_gives_nothing_whatever_was_sent_meanwhile()
    {
        var time = new ManualTime();
        var beats = new SentBeats(time);
        var lease = new Lease(time, () => TimeSpan.MaxValue);
        Beat longer = beats.Send(TimeSpan.FromMilliseconds(1800));
        time.Suspend(TimeSpan.FromHours(1));
        beats.Send(TimeSpan.FromMilliseconds(500));
        beats.Acknowledge(longer);
        lease.Renew(longer.SentAt, beats.Bounded(longer));
        Assert.That(lease.IsHeld, Is.False);
    }

    [Test]
    public void The_beat_that_stands_in_the_heartbeat_bounds_leadership_that_begins_after_the_next_was_sent()
    {
        var time = new ManualTime();
        var beats = new SentBeats(time);
        Beat won = beats.Send(TimeSpan.FromMilliseconds(1500));
        beats.Acknowledge(won);
        time.Advance(TimeSpan.FromMilliseconds(100));
        beats.Acknowledge(beats.Send(TimeSpan.FromMilliseconds(500)));
        time.Advance(TimeSpan.FromMilliseconds(200));
        beats.Send(TimeSpan.FromMilliseconds(500));
        Assert.That(beats.Bounded(won).TotalMilliseconds, Is.EqualTo(600), "whoever reads it goes by the second");
    }
}
