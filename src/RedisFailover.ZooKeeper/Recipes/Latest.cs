using System.Runtime.CompilerServices;

namespace RedisFailover.ZooKeeper;

/// <summary>The latest value of something: publishers replace it, followers may skip some but always end on the last.</summary>
internal sealed class Latest<T>
    where T : class
{
    private volatile Step _current = new(null, IsRead: false);

    internal bool IsRead => _current.IsRead;

    internal T? Value => _current.Value;

    /// <summary>Only the one owner calls this.</summary>
    internal void Publish(T? value)
    {
        Step before = _current;
        var next = new Step(value, IsRead: true);
        _current = next;
        before.Next.TrySetResult();
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

    private sealed class Step(T? value, bool IsRead)
    {
        internal T? Value { get; } = value;

        internal bool IsRead { get; } = IsRead;

        internal TaskCompletionSource Next { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
