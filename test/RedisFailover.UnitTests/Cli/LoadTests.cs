using NUnit.Framework;
using RedisFailover.Cli.Load;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class LoadTests
{
    [Test]
    public void The_longest_gap_is_that_between_two_neighbours()
    {
        SteppedTime time = new();
        AcknowledgedWrites writes = new(time);
        Assert.That(writes.Add(1).Millis, Is.Zero);
        time.Advance(5);
        Assert.That(writes.Add(2).Millis, Is.EqualTo(5));
        time.Advance(40);
        writes.Add(4);
        time.Advance(3);
        writes.Add(3);
        Assert.That(writes.Longest.Millis, Is.EqualTo(40));
        Assert.That(writes.ToArray(), Is.EqualTo(new long[] { 1, 2, 4, 3 }));
    }

    [Test]
    public void An_error_is_told_when_it_first_comes_and_again_only_when_more_of_its_kind_came()
    {
        ErrorTally tally = new();
        ErrorKind kind = ErrorTally.KindOf("write", new TimeoutException("no answer; queue 3"));
        Assert.That(kind.Message, Is.EqualTo("no answer"));
        Assert.That(tally.Add(kind), Is.True);
        Assert.That(tally.Grown(), Is.Empty);
        Assert.That(tally.Add(ErrorTally.KindOf("write", new TimeoutException("no answer; queue 4"))), Is.False);
        Assert.That(tally.Grown(), Is.EqualTo(new[] { (kind, 2L) }));
        Assert.That(tally.Grown(), Is.Empty);
        Assert.That(tally.Total, Is.EqualTo(2));
    }

    private sealed class SteppedTime : TimeProvider
    {
        private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => _now;

        internal void Advance(double millis) => _now += TimeSpan.FromMilliseconds(millis);
    }
}
