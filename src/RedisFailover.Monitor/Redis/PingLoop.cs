namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Watches one node over one connection: PING twice within a probe time-out, INFO once a second, and a deadline for the answers. A hang is
/// seen by it, and a closed connection at once.
/// </summary>
internal sealed class PingLoop(
    Probed probed, RedisConnection connection, Func<Task<bool>>? hasMoved = null, Func<Task<(ProbeFailure, string)?>>? isRefused = null)
{
    private static readonly TimeSpan InfoInterval = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Nodes are asked so many times at most while one is due: all that are due are asked in one go, and their answers read in one. Woken
    /// for each by itself, a process with hundreds of nodes spends most of its time on waking up.
    /// </summary>
    private const int Ticks = 10;

    /// <summary>What INFO leaves out changes when an operator changes it.</summary>
    private static readonly TimeSpan LearnInterval = TimeSpan.FromSeconds(10);

    /// <summary>How often it is asked whether the node's name stands for its address still.</summary>
    internal static readonly TimeSpan NameInterval = TimeSpan.FromSeconds(1);

    /// <summary>Who else manages a node comes back a moment after it: till then no data are overwritten that nobody knows.</summary>
    private static readonly TimeSpan FirstLearnInterval = TimeSpan.FromSeconds(1.5);

    /// <summary>What is sent between two INFO.</summary>
    private string[] _ping = ["PING"];

    /// <summary>It is loading, or busy: what it has afterwards is asked at once, before that it is not back.</summary>
    private volatile bool _isOccupied;

    /// <summary>
    /// Beats until the connection ends, the node is silent for too long, or says what makes watching it useless; returns which.
    /// </summary>
    internal async Task<(ProbeFailure ProbeFailure, string Detail)> RunAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource<(ProbeFailure, string)> fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TimeSpan interval = probed.Policy.ProbeTimeout / 2;
        TimeSpan nextInfo = probed.Clock.Now;
        TimeSpan nextBeat = probed.Clock.Now;
        TimeSpan silenceBegins = probed.Clock.At(connection.LastReply);
        int missed = 0;
        TimeSpan? unanswered = null;
        Task learning = probed.Said.LearnAsync(connection, listsClients: true);
        TimeSpan nextLearn = probed.Clock.Now + FirstLearnInterval;
        TimeSpan nextName = probed.Clock.Now + NameInterval;
        while (true)
        {
            TimeSpan now = probed.Clock.Now;
            if (now >= nextName)
            {
                _ = FollowAsync(fault);
                nextName = now + NameInterval;
            }

            if (now >= nextLearn)
            {
                bool leads = probed.IsLeading?.Invoke() == true;
                _ = probed.Said.LearnAsync(connection, listsClients: leads);
                _ = leads ? probed.Said.RewriteAgainAsync(connection) : Task.CompletedTask;
                nextLearn = now + LearnInterval;
            }

            if (now >= nextBeat)
            {
                if (unanswered > probed.Clock.At(connection.LastReply) && missed == 0)
                {
                    _ = TryPortAsync(fault);
                }

                unanswered = now;
                bool info = now >= nextInfo || _isOccupied;
                _ = BeatOnceAsync(info, learning, fault, cancellationToken);
                nextInfo = info ? Tick(now + InfoInterval, interval) : nextInfo;
                nextBeat = Tick(now + interval, interval);
            }

            TimeSpan next = silenceBegins + ((missed + 1) * probed.Policy.ProbeTimeout);
            TimeSpan wake = next < nextBeat ? next : nextBeat;
            Task ended = await Task.WhenAny(connection.Closed, fault.Task,
                    Task.Delay(wake > now ? wake - now : TimeSpan.Zero, probed.Clock.Provider, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
            if (ended == fault.Task)
            {
                return await fault.Task;
            }

            if (ended == connection.Closed)
            {
                return ProbeEnd.Of(await connection.Closed);
            }

            TimeSpan lastReply = probed.Clock.At(connection.LastReply);
            if (lastReply > silenceBegins)
            {
                silenceBegins = lastReply;
                missed = 0;
            }

            TimeSpan late = probed.Clock.Now - wake;
            if (late > probed.Policy.ProbeTimeout / 4)
            {
                // This process itself was held up (paused, starved): what was answered meanwhile may not have been read yet, so
                // the node gets that time back.
                silenceBegins += late;
            }
            else if (probed.Clock.Now >= silenceBegins + ((missed + 1) * probed.Policy.ProbeTimeout))
            {
                missed++;
                string detail = $"no answer for {missed * probed.Policy.ProbeTimeout.TotalMilliseconds:0} ms";
                probed.Report(new NodeFailed(probed.Clock.Now, probed.Node, ProbeFailure.Silent, detail));
                if (missed >= probed.Policy.MaxFailures)
                {
                    return (ProbeFailure.Silent, detail);
                }
            }
        }
    }

    /// <summary>The last moment up to this one at which nodes are asked.</summary>
    private static TimeSpan Tick(TimeSpan time, TimeSpan interval)
        => TimeSpan.FromTicks(time.Ticks - (time.Ticks % Math.Max(1, interval.Ticks / Ticks)));

    private async Task FollowAsync(TaskCompletionSource<(ProbeFailure, string)> fault)
    {
        try
        {
            if (hasMoved is not null && await hasMoved())
            {
                fault.TrySetResult((ProbeFailure.Closed, "its host name stands for another address now"));
            }
        }
        catch (OperationCanceledException)
        {
            // The monitor stops.
        }
    }

    /// <summary>
    /// A process that is killed while a child of it saves leaves its connections open, and silent, as the child has them too. Its port
    /// tells.
    /// </summary>
    private async Task TryPortAsync(TaskCompletionSource<(ProbeFailure, string)> fault)
    {
        try
        {
            if (isRefused is not null && await isRefused() is { } end)
            {
                fault.TrySetResult(end);
            }
        }
        catch (OperationCanceledException)
        {
            // The monitor stops.
        }
    }

    private async Task BeatOnceAsync(
        bool askInfo, Task learning, TaskCompletionSource<(ProbeFailure, string)> fault, CancellationToken cancellationToken)
    {
        TimeSpan asked = probed.Clock.Now;
        try
        {
            Task beside = askInfo ? probed.Said.LearnBesideInfoAsync(connection) : Task.CompletedTask;
            RespValue reply = await connection.SendAsync(askInfo ? ["INFO"] : _ping);
            TimeSpan latency = probed.Clock.Now - asked;
            // What it says is told together with what was asked on the new connection: whether it is to be left alone, for one.
            await beside;
            await learning;
            if (reply.IsErrorOf("LOADING"))
            {
                IsOccupied(ProbeFailure.Loading, "it is loading its data set");
            }
            else if (reply.IsErrorOf("BUSY "))
            {
                IsOccupied(ProbeFailure.Busy, "it is busy with a script or module (BUSY)");
            }
            else if (reply.IsErrorOf("NOAUTH") || reply.IsErrorOf("WRONGPASS") || (askInfo && reply.IsErrorOf("NOPERM")))
            {
                fault.TrySetResult((ProbeFailure.AuthRefused, $"it refuses our credentials ({reply.Text})"));
            }
            else if (askInfo)
            {
                await InformAsync(reply, asked, latency, fault, cancellationToken);
            }
            else
            {
                // Any other answer, an error too (MISCONF, a renamed PING), comes from a process that lives.
                _ping = reply.IsErrorOf("NOPERM") ? ["INFO", "server"] : _ping;
                probed.Report(new NodeBeat(probed.Clock.Now, probed.Node, latency));
            }
        }
        catch (IOException)
        {
            // The connection ended; its end is reported once, by whoever waits for it.
        }
        catch (FormatException e)
        {
            fault.TrySetResult((ProbeFailure.NotRedis, e.Message));
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The monitor stops.
        }
    }

    private async Task InformAsync(
        RespValue reply, TimeSpan asked, TimeSpan latency, TaskCompletionSource<(ProbeFailure, string)> fault,
            CancellationToken cancellationToken)
    {
        if (reply.IsError)
        {
            // Renamed, say: it lives.
            fault.TrySetResult((ProbeFailure.AuthRefused, $"it refuses INFO ({reply.Text})"));
            return;
        }

        NodeInfo info = await probed.Said.ReadAsync(reply, cancellationToken);
        if (info.Loading)
        {
            IsOccupied(ProbeFailure.Loading, "it is loading its data set");
            return;
        }

        if (info.SaveFailed || _isOccupied)
        {
            // An operator helps himself by CONFIG SET; it is looked at as long as it matters. While it was occupied it did not say.
            _ = probed.Said.LearnSettingsAsync(connection);
        }

        _isOccupied = false;
        probed.Report(new NodeAnswered(probed.Clock.Now, asked, probed.Node, info, latency));
    }

    private void IsOccupied(ProbeFailure evidence, string detail)
    {
        _isOccupied = true;
        probed.Report(new NodeFailed(probed.Clock.Now, probed.Node, evidence, detail));
    }
}
