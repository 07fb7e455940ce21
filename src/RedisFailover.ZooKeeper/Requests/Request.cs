using System.Threading.Tasks.Sources;

namespace RedisFailover.ZooKeeper;

/// <summary>The header of a reply.</summary>
internal readonly record struct ReplyHeader(int Xid, long Zxid, ZooKeeperErrorCode Error);

/// <summary>One request: what is written, where it waits for its reply, and who awaits it.</summary>
internal abstract class Request(OpCode op)
{
    private byte[]? _kept;

    /// <summary>Bytes that <see cref="KeepBody"/> has copied.</summary>
    internal int KeptBytes => _kept?.Length ?? 0;

    internal OpCode Op { get; } = op;

    internal int Xid { get; set; }

    /// <summary>The path as the caller gave it, for exceptions.</summary>
    internal string? Path { get; set; }

    internal string Name => Op switch
    {
        OpCode.GetChildren2 => "getChildren",
        OpCode.Create2 or OpCode.CreateContainer or OpCode.CreateTtl => "create",
        OpCode.GetAcl => "getACL",
        OpCode.SetAcl => "setACL",
        OpCode.WhoAmI => "whoAmI",
        _ => char.ToLowerInvariant(Op.ToString()[0]) + Op.ToString()[1..],
    };

    internal bool IsWrite => Op is OpCode.Create or OpCode.Create2 or OpCode.CreateContainer or OpCode.CreateTtl or OpCode.Delete
        or OpCode.SetData or OpCode.SetAcl or OpCode.Multi;

    /// <summary>True when nobody waits any more (cancelled); the reply is still consumed in its turn.</summary>
    internal abstract bool IsAbandoned { get; }

    protected abstract void WriteBody(JuteWriter writer, string chroot);

    protected void ForgetBody() => _kept = null;

    /// <summary>Writes the body, or what was kept of it.</summary>
    internal void Write(JuteWriter writer, string chroot)
    {
        if (_kept is null)
        {
            WriteBody(writer, chroot);
        }
        else
        {
            writer.Raw(_kept);
        }
    }

    /// <summary>
    /// For a write that has to wait until it can be sent: its caller may change the data as soon as the call has returned.
    /// </summary>
    internal void KeepBody(JuteWriter scratch, string chroot)
    {
        scratch.Clear();
        try
        {
            WriteBody(scratch, chroot);
            _kept = scratch.Written.ToArray();
        }
#pragma warning disable CA1031 // It will fail in the same way when it is to be sent, and alone.
        catch (Exception)
#pragma warning restore CA1031
        {
            _kept = null;
        }
    }

    /// <summary>
    /// Called by the read loop with the reply. Registers the watch, unless nobody waits any more, and hands over to whoever does.
    /// </summary>
    internal abstract void Reply(in ReplyHeader header, ref JuteReader body, WatchRegistry watches, Handoff handoff);

    /// <summary>Called instead of <see cref="Reply"/> when there will be none.</summary>
    /// <param name="code">Why.</param>
    /// <param name="sent">Whether the server may have got it.</param>
    /// <param name="cause">The exception behind it, if any.</param>
    /// <param name="detail">What else there is to say about an unsent one; null for nothing but that it was not sent.</param>
    internal abstract void Fail(ZooKeeperErrorCode code, bool sent, Exception? cause, string? detail = null);
}

/// <summary>
/// A request that is itself the source of the caller's <see cref="ValueTask{T}"/>. Two parties hold it: the awaiting caller and the reply
/// FIFO. It goes back to its pool when both have let go, so that a cancelled request keeps its place in the FIFO. The caller resumes in
/// <see cref="IThreadPoolWorkItem.Execute"/>, never where the outcome is found out.
/// </summary>
internal abstract class Request<T>(OpCode op) : Request(op), IValueTaskSource<T>, IValueTaskSource, IThreadPoolWorkItem
{
    private ManualResetValueTaskSourceCore<T> _core;
    private CancellationTokenRegistration _cancellation;
    private T? _result;
    private Exception? _error;
    private int _completed;
    private int _holders = 2;

    /// <summary>True only for this project's own non-blocking code, which goes on where the reply is read.</summary>
    internal bool ContinuesInline { get; set; }

    internal override bool IsAbandoned => Volatile.Read(ref _completed) != 0;

    internal ValueTask<T> AsValueTask() => new(this, _core.Version);

    internal ValueTask AsPlainValueTask() => new(this, _core.Version);

    internal void CancelWith(CancellationToken cancellationToken)
    {
        if (cancellationToken.CanBeCanceled)
        {
            _cancellation = cancellationToken.UnsafeRegister(
                static (state, token) => ((Request<T>)state!).Cancel(token), this);
        }
    }

    internal sealed override void Reply(in ReplyHeader header, ref JuteReader body, WatchRegistry watches, Handoff handoff)
    {
        bool ok = TryReadResult(header, ref body, watches, out T? result, out ZooKeeperException? error);
        if (Interlocked.Exchange(ref _completed, 1) != 0)
        {
            LetGo();
            return;
        }

        Accepted(watches);
        _result = result;
        _error = ok ? null : error ?? new ZooKeeperException(header.Error, Name, Path);
        if (ContinuesInline)
        {
            Execute();
        }
        else
        {
            handoff.Add(this);
        }
    }

    internal sealed override void Fail(ZooKeeperErrorCode code, bool sent, Exception? cause, string? detail = null)
    {
        if (Interlocked.Exchange(ref _completed, 1) != 0)
        {
            LetGo();
            return;
        }

        _error = new ZooKeeperException(
            code, Name, Path, sent && IsWrite, detail: sent ? null : detail ?? "it was not sent", inner: cause);
        if (ContinuesInline)
        {
            Execute();
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Resumes the caller, on this thread.</summary>
    public void Execute()
    {
        if (_error is null)
        {
            _core.SetResult(_result!);
        }
        else
        {
            _core.SetException(_error);
        }

        LetGo();
    }

    T IValueTaskSource<T>.GetResult(short token) => GetResult(token);

    void IValueTaskSource.GetResult(short token) => GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<T>.GetStatus(short token) => _core.GetStatus(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource<T>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    /// <summary>Reads the body of the reply. False: failed, with the error or null for the header's code.</summary>
    protected abstract bool TryReadResult(
        in ReplyHeader header, ref JuteReader body, WatchRegistry watches, out T? result, out ZooKeeperException? error);

    /// <summary>Called with a reply that somebody still waits for, before the next frame is read.</summary>
    protected virtual void Accepted(WatchRegistry watches)
    {
    }

    /// <summary>Gives the object back to its pool, if it has one.</summary>
    protected virtual void Recycle()
    {
    }

    /// <summary>Makes the object as new before it is pooled.</summary>
    protected void Reset()
    {
        _core.Reset();
        ForgetBody();
        ContinuesInline = false;
        _cancellation = default;
        _result = default;
        _error = null;
        _completed = 0;
        _holders = 2;
        Path = null;
    }

    private T GetResult(short token)
    {
        if (token != _core.Version)
        {
            throw new InvalidOperationException("A ValueTask of the ZooKeeper client was awaited twice.");
        }

        // Waits for a callback that is just running: it must not meet the next user of this object.
        _cancellation.Dispose();
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            LetGo();
        }
    }

    /// <summary>The FIFO holds on to the request until its reply comes; the caller resumes on the thread pool.</summary>
    private void Cancel(CancellationToken token)
    {
        if (Interlocked.Exchange(ref _completed, 1) == 0)
        {
            string what = Path is null ? Name : $"{Name} {Path}";
            _error = new OperationCanceledException(
                    $"{what} was cancelled{(IsWrite ? "; if it was sent, it may be applied all the same" : "")}.", token);
            Interlocked.Increment(ref _holders);
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private void LetGo()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
        {
            Recycle();
        }
    }
}
