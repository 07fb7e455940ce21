using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Watches one node over one connection: PING twice within a probe time-out, INFO once a second, and a deadline for the answers. A hang is
/// seen by it, and a closed connection at once.
/// </summary>
internal sealed class PingLoop(
    NodeAddress node, RedisConnection connection, NodeInfoReader said, FailoverPolicy policy, ChannelWriter<Observation> observations,
    MonotonicClock clock, Func<bool>? isLeading = null, Func<Task<bool>>? hasMoved = null)
{
    private static readonly TimeSpan InfoInterval = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Nodes are asked so many times at most while one is due: all that are due are asked in one go, and their answers read in one. Woken
    /// for each by itself, a process with hundreds of nodes spends most of its time on waking up.
    /// </summary>
    private const int Ticks = 10;

    /// <summary>What INFO leaves out changes when an operator changes it.</summary>
    private static readonly TimeSpan LearnInterval = TimeSpan.FromSeconds(10);

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
        TimeSpan interval = policy.ProbeTimeout / 2;
        TimeSpan nextInfo = clock.Now;
        TimeSpan nextBeat = clock.Now;
        TimeSpan silenceBegins = clock.At(connection.LastReply);
        int missed = 0;
        Task learning = said.LearnAsync(connection, listsClients: true);
        TimeSpan nextLearn = clock.Now + FirstLearnInterval;
        while (true)
        {
            TimeSpan now = clock.Now;
            if (now >= nextLearn)
            {
                _ = FollowAsync(fault);
                bool leads = isLeading?.Invoke() == true;
                _ = said.LearnAsync(connection, listsClients: leads);
                _ = leads ? said.RewriteAgainAsync(connection) : Task.CompletedTask;
                nextLearn = now + LearnInterval;
            }

            if (now >= nextBeat)
            {
                bool info = now >= nextInfo || _isOccupied;
                _ = BeatOnceAsync(info, learning, fault, cancellationToken);
                nextInfo = info ? Tick(now + InfoInterval, interval) : nextInfo;
                nextBeat = Tick(now + interval, interval);
            }

            TimeSpan next = silenceBegins + ((missed + 1) * policy.ProbeTimeout);
            TimeSpan wake = next < nextBeat ? next : nextBeat;
            Task ended = await Task.WhenAny(connection.Closed, fault.Task,
                    Task.Delay(wake > now ? wake - now : TimeSpan.Zero, clock.Provider, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
            if (ended == fault.Task)
            {
                return await fault.Task;
            }

            if (ended == connection.Closed)
            {
                return NodeProber.End(await connection.Closed);
            }

            TimeSpan lastReply = clock.At(connection.LastReply);
            if (lastReply > silenceBegins)
            {
                silenceBegins = lastReply;
                missed = 0;
            }

            TimeSpan late = clock.Now - wake;
            if (late > policy.ProbeTimeout / 4)
            {
                // This process itself was held up (paused, starved): what was answered meanwhile may not have been read yet, so
                // the node gets that time back.
                silenceBegins += late;
            }
            else if (clock.Now >= silenceBegins + ((missed + 1) * policy.ProbeTimeout))
            {
                missed++;
                string detail = $"no answer for {missed * policy.ProbeTimeout.TotalMilliseconds:0} ms";
                observations.TryWrite(new NodeFailed(clock.Now, node, ProbeFailure.Silent, detail));
                if (missed >= policy.MaxFailures)
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

    private async Task BeatOnceAsync(
        bool askInfo, Task learning, TaskCompletionSource<(ProbeFailure, string)> fault, CancellationToken cancellationToken)
    {
        TimeSpan asked = clock.Now;
        try
        {
            Task beside = askInfo ? said.LearnBesideInfoAsync(connection) : Task.CompletedTask;
            RespValue reply = await connection.SendAsync(askInfo ? ["INFO"] : _ping);
            TimeSpan latency = clock.Now - asked;
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
                observations.TryWrite(new NodeBeat(clock.Now, node, latency));
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
            fault.TrySetResult((ProbeFailure.NotRedis, $"it refuses INFO ({reply.Text})"));
            return;
        }

        NodeInfo info = await said.ReadAsync(reply, cancellationToken);
        if (info.Loading)
        {
            IsOccupied(ProbeFailure.Loading, "it is loading its data set");
            return;
        }

        if (info.SaveFailed || _isOccupied)
        {
            // An operator helps himself by CONFIG SET; it is looked at as long as it matters. While it was occupied it did not say.
            _ = said.LearnSettingsAsync(connection);
        }

        _isOccupied = false;
        observations.TryWrite(new NodeAnswered(clock.Now, asked, node, info, latency));
    }

    private void IsOccupied(ProbeFailure evidence, string detail)
    {
        _isOccupied = true;
        observations.TryWrite(new NodeFailed(clock.Now, node, evidence, detail));
    }
}
