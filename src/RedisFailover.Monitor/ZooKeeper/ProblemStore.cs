using System.Collections.Immutable;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>The znode <c>R/problems</c>: the leader writes it, under its fence, whenever the list changes. Nothing waits for it.</summary>
internal sealed class ProblemStore(ZooKeeperClient zooKeeper, ZnodePaths paths, ProblemKeeper problems, MonotonicClock clock,
    ILogger logger)
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly Channel<(int Term, ImmutableArray<Problem> Problems)> _lists = Channel.CreateBounded<(int, ImmutableArray<Problem>)>(
            new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private string? _told;

    /// <summary>Told of what the leader before has told, at the start of a term.</summary>
    internal Action<ImmutableArray<Problem>>? Inherited { get; init; }

    /// <summary>The list to be written; an older one that is not out yet is dropped.</summary>
    internal void Put(int term, ImmutableArray<Problem> list) => _lists.Writer.TryWrite((term, list));

    /// <summary>While this monitor leads: takes over what the leader before has told, then writes each list, until that ends.</summary>
    internal async Task WriteAsync(Leadership leadership, CancellationToken cancellationToken)
    {
        try
        {
            ImmutableArray<Problem> told = await ReadAsync(cancellationToken);
            problems.Inherit(leadership.Term, told);
            Inherited?.Invoke(told);
            (int Term, ImmutableArray<Problem> Problems)? unwritten = null;
            while (true)
            {
                if (unwritten is null || _lists.Reader.TryPeek(out _))
                {
                    unwritten = await _lists.Reader.ReadAsync(cancellationToken);
                }

                if (unwritten.Value.Term == leadership.Term
                    && !await TryWriteAsync(leadership, unwritten.Value.Problems, cancellationToken))
                {
                    await Task.Delay(RetryDelay, clock.Provider, cancellationToken);
                    continue;
                }

                unwritten = null;
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Leadership is over.
        }
    }

    private async Task<ImmutableArray<Problem>> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            return ProblemJson.Parse((await session.GetDataAsync(paths.Problems, null, cancellationToken)).Data);
        }
        catch (Exception e) when (e is ZooKeeperException or FormatException)
        {
            // Never written, or not readable: what there is begins now.
            return [];
        }
    }

    private async Task<bool> TryWriteAsync(Leadership leadership, ImmutableArray<Problem> list, CancellationToken cancellationToken)
    {
        byte[] data = ProblemJson.Write(list);
        try
        {
            try
            {
                await leadership.CommitAsync([ZnodeOperation.SetData(paths.Problems, data)], cancellationToken);
            }
            catch (ZooKeeperException e) when (e is { Code: ZooKeeperErrorCode.NoNode, FailedIndex: 0 })
            {
                await leadership.CommitAsync([ZnodeOperation.Create(paths.Problems, data)], cancellationToken);
            }

            _told = null;
            return true;
        }
        catch (ZooKeeperException e)
        {
            if (_told != e.Message)
            {
                Log.ProblemsNotWritten(logger, e.Message);
            }

            _told = e.Message;
            return false;
        }
    }
}
