using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace RedisFailover.Client;

/// <summary>What becomes of one call after its first failure, or while there is no node for it: whether and when it is sent again, and what
/// the caller is told. Its deadline, <see cref="FailoverOptions.WriteWait"/>, runs from the first failure.</summary>
internal sealed class Retries(NodeSet nodes, CommandClass kind, RetryCategory repeated = RetryCategory.None,
    CommandFlags flags = CommandFlags.None)
{
    private static readonly Backoff s_backoff = new(TimeSpan.FromMilliseconds(1), TimeSpan.FromMilliseconds(50));

    private readonly TimeProvider _time = nodes.Options.TimeProvider;
    private readonly long _since = nodes.Options.TimeProvider.GetTimestamp();
    private int _pauses;
    private LiveNode? _sentTo;
    private LiveNode? _lastNode;
    private Exception? _lastFailure;

    // A replica has refused it as a write: only the master will do.
    private bool _needsMaster;

    // Sent without a reply, and sent again: the first such attempt.
    private (LiveNode Node, Exception Failure)? _unanswered;

    // The caller's flags make no read of it, nor does the table once a replica has refused it as a write.
    private bool MayWrite => kind is CommandClass.Write or CommandClass.Unsure || _needsMaster;

    private TimeSpan Remaining => nodes.Options.WriteWait - _time.GetElapsedTime(_since);

    /// <summary>Whether the caller blocks: then all waiting is done on its thread, and what is returned here is complete.</summary>
    public bool Blocks { get; init; }

    /// <summary>The node for the next attempt; waits while there is none.</summary>
    /// <exception cref="NotAppliedException">None came until the deadline.</exception>
    public async Task<LiveNode> NodeAsync(CommandFlags flags)
    {
        _sentTo = null;
        CommandFlags redirected = _needsMaster ? flags.WithoutRole() | CommandFlags.DemandMaster : flags;
        return _sentTo = await nodes.NodeForAsync(kind, redirected, this).ConfigureAwait(false);
    }

    /// <summary>Says where the attempt went that was not made with <see cref="NodeAsync"/>.</summary>
    public Retries After(LiveNode? sentTo)
    {
        _sentTo = sentTo;
        return this;
    }

    /// <summary>Returns when the call may be sent again.</summary>
    /// <exception cref="MayHaveBeenAppliedException">It was sent and its reply never came.</exception>
    /// <exception cref="NotAppliedException">The time is over.</exception>
    public ValueTask AfterAsync(Exception failure, LiveNode node)
    {
        if (!After(node).IsRepeatable(failure))
        {
            ExceptionDispatchInfo.Throw(failure);
        }

        return PauseAsync();
    }

    /// <summary>Judges the failure of the last attempt: whether the call may be sent again, or the caller is to see it.</summary>
    /// <exception cref="MayHaveBeenAppliedException">It was sent and its reply never came.</exception>
    /// <exception cref="NotAppliedException">The time is over.</exception>
    public bool IsRepeatable(Exception failure)
    {
        // Without a node nothing was sent: waiting for one has ended for good.
        Outcome outcome = _sentTo is null ? Outcome.CommandFailed : Failures.Judge(failure);
        if (outcome == Outcome.CommandFailed)
        {
            return false;
        }

        _lastNode = _sentTo;
        _lastFailure = failure;
        if (outcome == Outcome.Ambiguous)
        {
            if (MayWrite && !Failures.MayRepeat(failure, flags, repeated))
            {
                throw Measures.Counted(new MayHaveBeenAppliedException(_sentTo!.Address, failure), nodes.Options);
            }

            _unanswered ??= (_sentTo!, failure);
        }

        _needsMaster |= Failures.IsReadOnly(failure);
        _ = RemainingOrThrow();

        Measures.Count(Measures.Retries, nodes.Options);

        if (nodes.Current.Master is { TakesWrites: false })
        {
            // Its multiplexer has changed its mind about the role: looking again starts to teach it.
            nodes.Rebuild();
        }

        return true;
    }

    /// <summary>Makes the pause before the next attempt; a new snapshot ends it.</summary>
    public async ValueTask PauseAsync()
    {
        Snapshot current = nodes.Current;
        if (!IsSuperfluous(current))
        {
            await ComesAsync(current.Superseded, NextPause()).ConfigureAwait(false);
        }
    }

    /// <summary>Waits for a newer snapshot.</summary>
    /// <exception cref="NotAppliedException">None came in time.</exception>
    public async ValueTask WaitAsync(Task superseded)
    {
        if (!await ComesAsync(superseded, RemainingOrThrow()).ConfigureAwait(false))
        {
            throw TimeIsOver();
        }
    }

    /// <summary>Whether it comes within that time.</summary>
    private async ValueTask<bool> ComesAsync(Task superseded, TimeSpan most)
    {
        using Activity? waiting = Traces.Waits(nodes.Options, kind, _lastNode, _lastFailure);
        if (Blocks)
        {
            // No thread of the pool's is needed to go on: it may have none to spare.
            return ((IAsyncResult)superseded).AsyncWaitHandle.WaitOne(most);
        }

        using var enough = new CancellationTokenSource();
        Task first = await Task.WhenAny(superseded, Task.Delay(most, _time, enough.Token)).ConfigureAwait(false);
        await enough.CancelAsync().ConfigureAwait(false);
        return first == superseded;
    }

    // Waiting would be for nothing: the node is not in use any more, so the next attempt goes elsewhere, or waits there.
    private bool IsSuperfluous(Snapshot current) => !current.Uses(_sentTo!);

    private TimeSpan NextPause()
    {
        TimeSpan pause = s_backoff.Spread(_pauses++);
        TimeSpan remaining = Remaining;
        return pause < remaining ? pause : remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero;
    }

    /// <exception cref="NotAppliedException">The time is over.</exception>
    public void ThrowIfOver() => _ = RemainingOrThrow();

    private TimeSpan RemainingOrThrow() => Remaining is var remaining && remaining > TimeSpan.Zero ? remaining : throw TimeIsOver();

    private string Unreachable(NodeAddress node) => nodes.FailureOf(node) is { } failure ? $" ({failure})" : "";

    private string Source() => nodes.TopologyFile is { } file ? $" (from {file}: none was read from ZooKeeper)" : "";

    private FailoverException TimeIsOver()
    {
        if (MayWrite && _unanswered is { } unanswered)
        {
            return Measures.Counted(new MayHaveBeenAppliedException(unanswered.Node.Address, unanswered.Failure), nodes.Options);
        }

        Snapshot current = nodes.Current;
        Topology topology = current.Topology;
        string wanted = kind == CommandClass.Write || _needsMaster ? "master" : "node to read from";
        string state = current.Hold.HasFlag(WriteHold.ZooKeeperSilent) ? "writes are held while ZooKeeper cannot be reached"
            : current.Hold != WriteHold.None ? $"writes are held: the topology in ZooKeeper is not followed, as {nodes.NotFollowed}"
            : topology.Master is { } master
                ? $"{master} is master at epoch {topology.Epoch}{Source()} and could not take it{Unreachable(master)}"
            : $"there is no master (epoch {topology.Epoch}){Source()}";
        string last = _lastFailure is null ? "" : $"; {_lastNode!.Address} said: {_lastFailure.Message}";
        return Measures.Counted(new NotAppliedException(
            $"No {wanted} took the call within {nodes.Options.WriteWait.TotalMilliseconds:0} ms: {state}{last}. It was not applied.",
            _lastNode?.Address, _lastFailure), nodes.Options);
    }
}
