using System.Collections;

namespace RedisFailover.Client;

/// <summary>A scan reads on while it is enumerated: the loss of its node is told as what it means.</summary>
internal static class Scan
{
    public static IEnumerable<T> Of<T>(IEnumerable<T> scanned, LiveNode node) => new Sequence<T>(scanned, node);

    public static async IAsyncEnumerable<T> Of<T>(Func<Task<LiveNode>> found, Func<LiveNode, IAsyncEnumerable<T>> begin,
        [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        LiveNode node = await found().ConfigureAwait(false);
        IAsyncEnumerator<T> items = begin(node).GetAsyncEnumerator(cancellationToken);
        await using ConfiguredAsyncDisposable itemsEnd = items.ConfigureAwait(false);
        while (true)
        {
            bool more;
            try
            {
                more = await items.MoveNextAsync().ConfigureAwait(false);
            }
            catch (Exception failure) when (IsLoss(failure) && !cancellationToken.IsCancellationRequested)
            {
                throw new ScanInterruptedException(node.Address, Bare(failure));
            }

            if (!more)
            {
                yield break;
            }

            yield return items.Current;
        }
    }

    private static bool IsLoss(Exception failure) => Failures.Judge(Bare(failure)) != Outcome.CommandFailed;

    // A scan that blocks is given its failures as a task keeps them.
    private static Exception Bare(Exception failure) => failure is AggregateException { InnerException: { } inner } ? inner : failure;

    private sealed class Sequence<T>(IEnumerable<T> scanned, LiveNode node) : IEnumerable<T>, IScanningCursor
    {
        long IScanningCursor.Cursor => (scanned as IScanningCursor)?.Cursor ?? 0;

        int IScanningCursor.PageSize => (scanned as IScanningCursor)?.PageSize ?? 0;

        int IScanningCursor.PageOffset => (scanned as IScanningCursor)?.PageOffset ?? 0;

        public IEnumerator<T> GetEnumerator() => new Items<T>(scanned.GetEnumerator(), node);

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    private sealed class Items<T>(IEnumerator<T> items, LiveNode node) : IEnumerator<T>, IScanningCursor
    {
        long IScanningCursor.Cursor => (items as IScanningCursor)?.Cursor ?? 0;

        int IScanningCursor.PageSize => (items as IScanningCursor)?.PageSize ?? 0;

        int IScanningCursor.PageOffset => (items as IScanningCursor)?.PageOffset ?? 0;

        public T Current => items.Current;

        object? IEnumerator.Current => Current;

        public bool MoveNext()
        {
            try
            {
                return items.MoveNext();
            }
            catch (Exception failure) when (IsLoss(failure))
            {
                throw new ScanInterruptedException(node.Address, Bare(failure));
            }
        }

        public void Reset() => items.Reset();

        public void Dispose() => items.Dispose();
    }
}
