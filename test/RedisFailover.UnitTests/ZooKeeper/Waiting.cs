using System.Diagnostics;
using NUnit.Framework;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>No test waits for ever, and none sleeps: they wait for something to become true.</summary>
internal static class Waiting
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    internal static Task WithinDeadline(this Task task) => task.WaitAsync(Deadline);

    internal static Task<T> WithinDeadline<T>(this Task<T> task) => task.WaitAsync(Deadline);

    internal static Task<T> WithinDeadline<T>(this ValueTask<T> task) => task.AsTask().WaitAsync(Deadline);

    /// <summary>Waits until it holds; the failure shows the last state.</summary>
    internal static async Task Until(Func<bool> holds, Func<string>? state = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (!holds())
        {
            if (Stopwatch.GetElapsedTime(start) > Deadline)
            {
                Assert.Fail($"Not within {Deadline.TotalSeconds} s. Last state: {state?.Invoke() ?? "unknown"}");
            }

            await Task.Delay(1);
        }
    }

    /// <summary>Moves the clock step by step until it holds.</summary>
    internal static async Task AdvanceUntil(this ManualTime time, TimeSpan step, Func<bool> holds, Func<string>? state = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (!holds())
        {
            if (Stopwatch.GetElapsedTime(start) > Deadline)
            {
                Assert.Fail($"Not within {Deadline.TotalSeconds} s of real time. Last state: {state?.Invoke() ?? "unknown"}");
            }

            time.Advance(step);
            await Task.Delay(1);
        }
    }

    internal static async Task<RedisFailover.ZooKeeper.ZooKeeperException> ThrowsZooKeeper(Task task)
    {
        try
        {
            await task.WithinDeadline();
        }
        catch (RedisFailover.ZooKeeper.ZooKeeperException e)
        {
            return e;
        }

        throw new AssertionException("A ZooKeeperException was expected.");
    }
}
