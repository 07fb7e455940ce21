using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.UnitTests.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class OneAtATimeTests
{
    [Test]
    public async Task They_enter_in_the_order_in_which_they_came_and_one_that_gave_up_is_passed_over()
    {
        var one = new OneAtATime();
        using var gaveUp = new CancellationTokenSource();
        await one.EnterAsync(default).WithinDeadline();
        Task second = one.EnterAsync(gaveUp.Token);
        Task third = one.EnterAsync(default);
        Task fourth = one.EnterAsync(default);

        await gaveUp.CancelAsync();
        Assert.That(async () => await second.WithinDeadline(), Throws.InstanceOf<OperationCanceledException>());
        Assert.That(third.IsCompleted, Is.False);
        one.Leave();
        await third.WithinDeadline();
        Assert.That(fourth.IsCompleted, Is.False);
        one.Leave();
        await fourth.WithinDeadline();
        one.Leave();
        Assert.That(one.EnterAsync(default).IsCompletedSuccessfully);
    }
}
