using NUnit.Framework;
using RedisFailover.Monitor.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class ClockCheckTests
{
    private static readonly DateTimeOffset Stamped = DateTimeOffset.UnixEpoch.AddYears(56);

    [TestCase(0, 10, Description = "the same clock")]
    [TestCase(-30, 30, Description = "a write that took a minute")]
    [TestCase(1.5, 1.6, Description = "little")]
    public void What_may_be_right_is_no_problem(double sent, double answered)
        => Assert.That(ClockCheck.Compare("m1", Stamped.AddSeconds(sent), Stamped.AddSeconds(answered), Stamped), Is.Null);

    [TestCase(63, 63.1, "63 s ahead of")]
    [TestCase(-63, -62, "62 s behind")]
    public void A_clock_that_is_wrong_is_told_with_its_side(double sent, double answered, string said)
    {
        Problem? problem = ClockCheck.Compare("m1", Stamped.AddSeconds(sent), Stamped.AddSeconds(answered), Stamped);

        Assert.That(problem?.Code, Is.EqualTo(ProblemCatalogue.ClockDiffers));
        Assert.That(problem!.Message, Does.Contain($"is {said} that of ZooKeeper's leader"));
    }
}
