using System.Collections.Immutable;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.UnitTests.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class TopologyStoreTests
{
    private static readonly HistoryEntry Entry = new() { Kind = HistoryKind.Failover, Epoch = 4, Reason = "it was lost" };

    [TestCase(false)]
    [TestCase(true)]
    public async Task An_entry_whose_connection_is_lost_is_written_once_all_the_same(bool wasApplied)
    {
        var ensemble = new Ensemble { LosesConnection = 1, AppliesWhatIsLost = wasApplied };

        await ensemble.Store.RecordAsync(ensemble, Entry, default).WithinDeadline();
        Assert.That(ensemble.History.Select(e => (e.Kind, e.Epoch, e.By)), Is.EqualTo(new[] { (HistoryKind.Failover, 4L, "m1") }));
    }

    [Test]
    public async Task Only_the_first_read_of_a_term_in_the_session_that_won_it_needs_no_sync()
    {
        var ensemble = new Ensemble();
        await ReadAsync();
        Assert.That(ensemble.Syncs, Is.Zero);

        await ReadAsync();
        Assert.That(ensemble.Syncs, Is.EqualTo(1));

        ensemble.Term++;
        await ReadAsync();
        Assert.That(ensemble.Syncs, Is.EqualTo(1));

        (ensemble.Term, ensemble.IsElsewhere) = (ensemble.Term + 1, true);
        await ReadAsync();
        Assert.That(ensemble.Syncs, Is.EqualTo(2));

        Task ReadAsync() => ensemble.Store.ReadAsync(ensemble, () => Task.CompletedTask, default).WithinDeadline();
    }

    [Test]
    public async Task An_entry_waits_no_longer_than_leadership_lasts()
    {
        var ensemble = new Ensemble { LosesConnection = int.MaxValue };
        using var lost = new CancellationTokenSource();
        ensemble.Lost = lost.Token;
        ensemble.Asked = lost.Cancel;

        await ensemble.Store.RecordAsync(ensemble, Entry, lost.Token).WithinDeadline();
        Assert.That(ensemble.History, Is.Empty);
    }

    /// <summary>One znode, the history, and a lead that writes it.</summary>
    private sealed class Ensemble : IZnodes, ILeadership
    {
        private static readonly ZnodePaths Paths = new(ZnodePaths.DefaultRoot);
        private Znode? _history;

        internal int LosesConnection { get; set; }

        internal bool AppliesWhatIsLost { get; init; }

        internal Action? Asked { get; set; }

        internal TopologyStore Store => field ??= new TopologyStore(
            SessionAsync, Paths, "m1", new MonotonicClock(TimeProvider.System), NullLogger.Instance);

        internal ImmutableArray<HistoryEntry> History => _history is null ? [] : HistoryJson.Parse(_history.Data);

        internal bool IsElsewhere { get; set; }

        internal int Syncs { get; private set; }

        public int Term { get; set; } = 1;

        public bool MayAct => true;

        public CancellationToken Lost { get; set; }

        public ValueTask<Znode> GetDataAsync(
            string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
            => _history is { } znode && path == Paths.History ? ValueTask.FromResult(znode)
                : throw new ZooKeeperException(ZooKeeperErrorCode.NoNode, "getData", path);

        public Task<ZnodeChildren> GetChildrenAsync(
            string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
            => throw new NotSupportedException();

        public Task SyncAsync(string path, CancellationToken cancellationToken = default)
        {
            Syncs++;
            return Task.CompletedTask;
        }

        public bool IsOf(IZnodes session) => !IsElsewhere && session == this;

        public Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
            ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken = default)
        {
            bool isLost = LosesConnection-- > 0;
            if (!isLost || AppliesWhatIsLost)
            {
                _history = new Znode(operations[0].Data, default);
            }

            return isLost ? throw new ZooKeeperException(ZooKeeperErrorCode.ConnectionLoss, "multi", null, mayHaveBeenApplied: true)
                : Task.FromResult(ImmutableArray.Create(new ZnodeOperationResult(operations[0].Kind, operations[0].Path, null)));
        }

        public Task ResignAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

        private ValueTask<IZnodes> SessionAsync(CancellationToken cancellationToken)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Asked?.Invoke();
            return ValueTask.FromResult<IZnodes>(this);
        }
    }
}
