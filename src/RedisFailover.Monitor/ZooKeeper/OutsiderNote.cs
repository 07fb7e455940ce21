using System.Collections.Immutable;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// What a monitor tells that has no place among the others, because its cluster is another or its id is taken: an ephemeral znode below
/// <c>R/outsiders</c>, which counts for nothing.
/// </summary>
internal sealed class OutsiderNote(ZooKeeperClient zooKeeper, ZnodePaths paths, string id, MonotonicClock clock)
{
    private readonly Lock _gate = new();
    private readonly string _name = $"{id}-{Environment.MachineName}-{Environment.ProcessId}".Replace('/', '_');
    private readonly Channel<ImmutableArray<Problem>> _notes = Channel.CreateBounded<ImmutableArray<Problem>>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    private ImmutableArray<Problem> _problems = [];

    /// <summary>Tells this problem, or, with null, no longer the one of that kind.</summary>
    internal void Set(ProblemCode code, Problem? problem)
    {
        lock (_gate)
        {
            _problems = _problems.RemoveAll(p => p.Code == code);
            _problems = problem is null ? _problems : _problems.Add(problem with { Since = clock.Provider.GetUtcNow() });
            _notes.Writer.TryWrite(_problems);
        }
    }

    /// <summary>Keeps the znode as it was last set; each session makes it again.</summary>
    internal async Task KeepAsync(CancellationToken cancellationToken)
    {
        ImmutableArray<Problem> note = [];
        while (true)
        {
            try
            {
                using var ended = CancellationTokenSource.CreateLinkedTokenSource(
                    cancellationToken, note.IsEmpty ? CancellationToken.None : (await zooKeeper.GetSessionAsync(cancellationToken)).Ended);
                note = await _notes.Reader.ReadAsync(ended.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // The session ended, and the znode with it.
            }

            ZooKeeperSession session = await zooKeeper.GetSessionAsync(cancellationToken);
            try
            {
                await WriteAsync(session, note, cancellationToken);
            }
            catch (ZooKeeperException)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), clock.Provider, cancellationToken);
                lock (_gate)
                {
                    // As it is now, which may be another than the one that failed.
                    _notes.Writer.TryWrite(_problems);
                }
            }
        }
    }

    /// <summary>Takes the znode away.</summary>
    /// <exception cref="ZooKeeperException">It is not known whether it is gone.</exception>
    internal async Task RemoveAsync(CancellationToken cancellationToken)
        => await WriteAsync(await zooKeeper.GetSessionAsync(cancellationToken), [], cancellationToken);

    private async Task WriteAsync(ZooKeeperSession session, ImmutableArray<Problem> note, CancellationToken cancellationToken)
    {
        try
        {
            await session.DeleteAsync(paths.Outsider(_name), -1, cancellationToken);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // There was none.
        }

        if (!note.IsEmpty)
        {
            await session.EnsurePathAsync(paths.Outsiders, cancellationToken);
            await session.CreateAsync(paths.Outsider(_name), ProblemJson.Write(note), CreateMode.Ephemeral, default, cancellationToken);
        }
    }
}
