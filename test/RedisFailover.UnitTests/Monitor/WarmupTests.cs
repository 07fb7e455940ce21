using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class WarmupTests
{
    /// <summary>
    /// A play that gets stuck half-way would leave the rest to be compiled in the first real failover, and nobody would notice.
    /// </summary>
    [Test]
    public async Task The_rehearsal_is_played_to_its_end()
    {
        Assert.That(
            await Warmup.RunAsync(NullLogger.Instance, new Patient()),
            Is.EqualTo(new[] { "Adopted", "Switchover", "Failover", "Inspect", "Detach", "Promote", "Demote" }));
    }

    /// <summary>The limit of the play is for a monitor that starts, not for a busy machine.</summary>
    private sealed class Patient : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
            => base.CreateTimer(callback, state, dueTime > TimeSpan.FromSeconds(1) ? dueTime * 30 : dueTime, period);
    }
}
