using System.Net.Sockets;

namespace RedisFailover.Client;

/// <summary>Keeps one node connected while the topology names it, watches that it answers and replaces the connection when it breaks: a
/// multiplexer would try a refused port once a second.</summary>
internal sealed class NodeLink : IAsyncDisposable
{
    // A node that only closed the connection is back with the first attempt; one that refuses takes longer to start than this.
    private static readonly Backoff s_backoff = new(TimeSpan.FromMilliseconds(16), TimeSpan.FromMilliseconds(500));

    private static readonly TimeSpan s_telling = TimeSpan.FromMilliseconds(300);

    private readonly NodeSet _owner;
    private readonly FailoverOptions _options;
    private readonly CancellationTokenSource _closing = new();
    private readonly TaskCompletionSource _firstAttempt = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _running;
    private LiveNode? _live;

    public NodeLink(NodeAddress address, NodeSet owner)
    {
        Address = address;
        _owner = owner;
        _options = owner.Options;
        _running = Task.Run(RunAsync);
    }

    public NodeAddress Address { get; }

    // Whoever connects waits for ConnectTimeout: the reason shall be known before.
    private TimeSpan Deadline => _options.ConnectTimeout * 0.8;

    /// <summary>The connection, or null while there is none.</summary>
    public LiveNode? Live => Volatile.Read(ref _live);

    /// <summary>Why it is not connected; null when it is, or was not tried yet.</summary>
    public string? Failure { get; private set; }

    /// <summary>Completes when the first attempt to connect has succeeded or failed.</summary>
    public Task FirstAttempt => _firstAttempt.Task;

    /// <summary>Ends the calls in flight and stops connecting, at once.</summary>
    public void Close()
    {
        _closing.Cancel();
        if (Interlocked.Exchange(ref _live, null) is { } live)
        {
            End(live);
        }
    }

    public async ValueTask DisposeAsync()
    {
        // May come twice, from the topology and from the end: the source of the token is left to the collector.
        Close();
        await _running.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        CancellationToken closing = _closing.Token;
        try
        {
            for (int failures = 0; ;)
            {
                if (await LiveAsync(closing).ConfigureAwait(false))
                {
                    failures = 0;
                }
                else
                {
                    await Task.Delay(s_backoff.Spread(failures++), _options.TimeProvider, closing).ConfigureAwait(false);
                }
            }
        }
        catch (Exception) when (closing.IsCancellationRequested)
        {
            _firstAttempt.TrySetResult();
        }
    }

    /// <summary>One connection from beginning to end; false when there was none, or it ended in a way that nobody foresaw.</summary>
    private async Task<bool> LiveAsync(CancellationToken closing)
    {
        LiveNode? live = null;
        string? failure;
        Exception? unforeseen = null;
        try
        {
            (live, failure) = await ConnectAsync(closing).ConfigureAwait(false);
            if (live is not null)
            {
                Up(live);
                failure = await WatchAsync(live, closing).ConfigureAwait(false);
            }
        }
        catch (Exception thrown) when (!closing.IsCancellationRequested)
        {
            // A mistake in ConfigureNode, say, or a multiplexer that the application has disposed: the next attempt may go well.
            (failure, unforeseen) = (thrown.Message, thrown);
        }
        finally
        {
            if (live is not null)
            {
                Interlocked.CompareExchange(ref _live, null, live);
                if (closing.IsCancellationRequested)
                {
                    End(live);
                }
            }
        }

        if (live is null)
        {
            Failed(failure!);
        }
        else
        {
            Down(live, failure!);
        }

        Tried(unforeseen);
        return live is not null && unforeseen is null;
    }

    private void Up(LiveNode live)
    {
        Failure = null;
        Volatile.Write(ref _live, live);
        Log.NodeConnected(_owner.Logger, Address);
        _owner.Rebuild();
        _owner.Tell(Address, null);
        Tried(null);
    }

    private void Down(LiveNode live, string failure)
    {
        Failure = failure;
        Log.NodeLost(_owner.Logger, Address, failure);
        _owner.Tell(Address, failure);
        Tolerated.Run(_owner.Rebuild);

        // Once nobody is sent to it any more: its calls end now, and go to another node.
        End(live);
    }

    /// <summary>Whoever connects is told how the first attempt went.</summary>
    private void Tried(Exception? unforeseen)
    {
        if (unforeseen is null)
        {
            _firstAttempt.TrySetResult();
        }
        else if (_firstAttempt.TrySetException(unforeseen))
        {
            Waiting.Forget(_firstAttempt.Task);
        }
    }

    /// <summary>Says so once, and not again before it was connected.</summary>
    private void Failed(string failure)
    {
        if (Failure is null)
        {
            Log.NodeUnreachable(_owner.Logger, Address, failure);
            _owner.Tell(Address, failure);
        }

        Failure = failure;
    }

    /// <summary>Of several passwords it may be another one: each is tried before the node counts as one that refuses.</summary>
    private async Task<(LiveNode? Live, string? Failure)> ConnectAsync(CancellationToken closing)
    {
        for (int others = (_options.Login?.Count ?? 1) - 1; ; others--)
        {
            int used = _options.Login?.Next ?? 0;
            (LiveNode? live, string? failure, bool isRefused) = await AttemptAsync(closing).ConfigureAwait(false);
            if (isRefused)
            {
                _options.Login?.Refused(used);
            }

            if (!isRefused || others <= 0)
            {
                return (live, failure);
            }
        }
    }

    private async Task<(LiveNode? Live, string? Failure, bool IsRefused)> AttemptAsync(CancellationToken closing)
    {
        // A refused port is told in the time of a round trip, without an exception, and all addresses of a name are tried.
        Dialed dialed = await _owner.Dialer.ConnectAsync(Address.Host, Address.Port, Deadline, closing).ConfigureAwait(false);
        if (dialed is not { Socket: { } socket, EndPoint: { } found })
        {
            return (null, dialed.Detail, false);
        }

        socket.Dispose();
        ConfigurationOptions configuration = NodeConfiguration.Of(_options, Address, found, Deadline);
        var attempt = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        configuration.ConnectionAttemptCompleted += (_, completed) => attempt.TrySetResult(completed.Exception);
        long since = _options.TimeProvider.GetTimestamp();
        try
        {
            ConnectionMultiplexer multiplexer = await CancellableConnect.Async(configuration, closing).ConfigureAwait(false);
            var live = new LiveNode(Address, multiplexer, configuration, _options.TimeProvider);
            try
            {
                live.IsPreferred = _options.PreferNode?.Invoke(Address) ?? true;
                _owner.Observers.Attach(multiplexer);
                closing.ThrowIfCancellationRequested();
            }
            catch
            {
                End(live);
                throw;
            }

            return (live, null, false);
        }
        catch (Exception failure) when (failure is RedisConnectionException or RedisTimeoutException or SocketException)
        {
            string? overdue = _options.TimeProvider.GetElapsedTime(since) < Deadline * 0.9 ? null
                : $"no answer within {Deadline.TotalMilliseconds:0} ms{(configuration.Ssl ? ": it hangs, or speaks no TLS" : "")}";
            // Told on another thread, and later than the failure.
            await Task.WhenAny(attempt.Task, Task.Delay(s_telling, _options.TimeProvider, closing)).ConfigureAwait(false);
            return (null, Meaning(failure, overdue, attempt.Task.IsCompleted ? await attempt.Task.ConfigureAwait(false) : null),
                failure.InnerException is RedisServerException);
        }
    }

    private void End(LiveNode live)
    {
        _owner.Observers.Detach(live.Multiplexer);
        live.Close();
    }

    /// <summary>Why there is no connection, without advice on options that are not the application's to set.</summary>
    private static string Meaning(Exception failure, string? overdue, Exception? attempt)
    {
        string? said = Said(failure.InnerException as RedisServerException);
        return said?.Split(' ')[0] switch
        {
            "WRONGPASS" => $"it refuses the password ({said})",
            "NOAUTH" => $"it wants a password and was given none ({said})",
            "NOPERM" => $"it allows this user too little ({said})",
            not null => said,
            _ => overdue ?? Said(attempt) ?? "it took the connection and did not serve it: it may be loading its data, or be no Redis",
        };
    }

    private static string? Said(Exception? failure) => failure?.Message.Replace("SimpleError: ", "", StringComparison.Ordinal);

    /// <summary>Returns why, when the connection is lost or nothing came for OperationTimeout. Replies come in order: one ping at a time is
    /// the deadline of every asynchronous call, which has none of its own. A ping is not late as long as something comes.</summary>
    private async Task<string> WatchAsync(LiveNode live, CancellationToken closing)
    {
        TimeProvider time = _options.TimeProvider;
        IDatabase database = live.Database(0);
        var name = new NameCheck(_owner.Names, Address.Host, live.FoundAt, _owner.NameInterval, time);
        Task<bool>? listens = null;
        while (true)
        {
            long asked = time.GetTimestamp();
            Task<TimeSpan> ping = database.PingAsync();
            if (!await AnswersAsync(live, ping, closing).ConfigureAwait(false))
            {
                live.WasGivenUp = true;
                return $"no answer for {_options.OperationTimeout.TotalMilliseconds:0} ms";
            }

            if (live.Broken.IsCompleted)
            {
                return await live.Broken.ConfigureAwait(false);
            }

            if (ping.IsFaulted || ping.IsCanceled)
            {
                return ping.Exception?.InnerException?.Message ?? "closed";
            }

            live.Latency = time.GetElapsedTime(asked);
            // A name that is wrong for a moment must not end a connection that works; that is tried beside it.
            listens = name.HasMoved() ? listens ?? ListensThereAsync(closing) : null;
            if (listens is { IsCompleted: true } tried)
            {
                if (await tried.ConfigureAwait(false))
                {
                    live.WasGivenUp = true;
                    return "its host name stands for another address now";
                }

                listens = null;
            }

            if (_options.ReadFrom == ReadFrom.Nearest)
            {
                _owner.Rebuild();
            }

            await Task.WhenAny(live.Broken, Task.Delay(_options.OperationTimeout / 10, time, closing)).ConfigureAwait(false);
            closing.ThrowIfCancellationRequested();
        }
    }

    private async Task<bool> ListensThereAsync(CancellationToken closing)
    {
        Dialed there = await _owner.Dialer.ConnectAsync(Address.Host, Address.Port, Deadline, closing).ConfigureAwait(false);
        there.Socket?.Dispose();
        return there.Socket is not null;
    }

    /// <summary>True when the ping has ended or the connection is broken; false when nothing came for OperationTimeout.</summary>
    private async Task<bool> AnswersAsync(LiveNode live, Task ping, CancellationToken closing)
    {
        TimeProvider time = _options.TimeProvider;
        TimeSpan look = _options.OperationTimeout / 20;
        long heard = live.Heard;
        long since = time.GetTimestamp();
        while (true)
        {
            TimeSpan left = _options.OperationTimeout - time.GetElapsedTime(since);
            bool isLast = left <= TimeSpan.Zero;

            // A process that was suspended finds its time over and the answers waiting: the node did nothing wrong.
            TimeSpan pause = isLast ? TimeSpan.FromMilliseconds(10) : left < look ? left : look;
            Task first = await Task.WhenAny(ping, live.Broken, Task.Delay(pause, time, closing)).ConfigureAwait(false);
            closing.ThrowIfCancellationRequested();
            if (first == ping || first == live.Broken)
            {
                return true;
            }

            if (live.Heard is var now && now > heard)
            {
                heard = now;
                since = time.GetTimestamp();
            }
            else if (isLast)
            {
                return false;
            }
        }
    }
}
