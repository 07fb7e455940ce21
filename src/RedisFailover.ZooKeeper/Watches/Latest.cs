using System.Runtime.CompilerServices;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// The latest state of something in ZooKeeper: its reader replaces it by newer ones, followers may skip some but always end on the last.
/// </summary>
/// <param name="zxid">The transaction that made a value what it is.</param>
internal sealed class Latest<T>(Func<T, long> zxid)
    where T : class
{
    private volatile Step _current = new(null, IsRead: false);

    internal bool IsRead => _current.IsRead;

    internal T? Value => _current.Value;

    /// <summary>Takes the value over if it is news; false if it is not. Only the one owner calls this.</summary>
    /// <param name="value">What was read; null when it is missing.</param>
    /// <param name="firstOfSession">Whether it is the first that was read in its session.</param>
    internal bool Publish(T? value, bool firstOfSession)
    {
        Step before = _current;
        if (before.IsRead
            && (value is null ? before.Value is null : before.Value is not null && !IsNewer(value, before.Value, firstOfSession)))
        {
            return false;
        }

        _current = new Step(value, IsRead: true);
        before.Next.TrySetResult();
        return true;
    }

    internal async IAsyncEnumerable<T?> FollowAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Step? seen = null;
        while (true)
        {
            Step step = _current;
            if (step.IsRead && step != seen)
            {
                seen = step;
                yield return step.Value;
                continue;
            }

            await step.Next.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Creating a session is a quorum write: its server has applied everything before it. If even so the value is older than what an
    /// earlier session saw, the ensemble has lost its data.
    /// </summary>
    private bool IsNewer(T value, T before, bool firstOfSession)
        => firstOfSession ? zxid(value) != zxid(before) : zxid(value) > zxid(before);

    private sealed class Step(T? value, bool IsRead)
    {
        internal T? Value { get; } = value;

        internal bool IsRead { get; } = IsRead;

        internal TaskCompletionSource Next { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
