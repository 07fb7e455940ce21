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

    [Test]
    public void An_error_says_what_lies_beneath_it_and_no_two_kinds_differ_by_a_time_alone()
    {
        ErrorKind kind = ErrorTally.KindOf("write", new InvalidOperationException("took 12.5 ms", new TimeoutException("inner")));
        Assert.That(kind.Message, Is.EqualTo("took 12.5 ms (TimeoutException)"));
        Assert.That(ErrorTally.KindOf("write", new InvalidOperationException("took 13 ms", new TimeoutException("other"))),
            Is.EqualTo(kind));
    }

    [Test]
    public void The_report_names_every_kind_of_error_and_what_became_of_each_write()
    {
        LoadReport report = new()
        {
            Seconds = 1, Writes = 100, Acknowledged = 90, FailedWrites = 10, AmbiguousWrites = 7, NotAppliedWrites = 2, Reads = 5,
                FailedReads = 0,
            StaleReads = 1, LongestGapMillis = 3, Lost = 4,
                Errors = [new ErrorCount("write", "A", "a", 7), new ErrorCount("write", "B", "b", 3)],
        };
        Assert.That(report.Lines(), Is.EqualTo(new[]
        {
            "writes                     100: 90 acknowledged, 10 failed (7 may have been applied, 2 were not applied, 1 otherwise)",
            "reads                      5: 0 failed, 1 did not see an acknowledged write (yet)",
            "errors                     7 x write: A: a",
            "errors                     3 x write: B: b",
            "longest gap                3.0 ms between two acknowledged writes",
            "lost acknowledged writes   4 of 90",
        }));
        Assert.That((report with { Errors = [], Lost = null }).Lines(),
            Has.Member("errors                     none")
                .And.Member("lost acknowledged writes   not known: the master could not be asked"));
    }

    private sealed class SteppedTime : TimeProvider
    {
        private DateTimeOffset _now = DateTimeOffset.UnixEpoch;

        public override DateTimeOffset GetUtcNow() => _now;

        internal void Advance(double millis) => _now += TimeSpan.FromMilliseconds(millis);
    }
}
