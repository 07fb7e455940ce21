using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Watches one node over one connection: PING twice within a probe time-out, INFO once a second, and a deadline for the answers. A hang is
/// seen by it, and a closed connection at once.
/// </summary>
internal sealed class Heartbeat(
    NodeAddress node, RedisConnection connection, WhatNodeSays said, FailoverPolicy policy, ChannelWriter<Observation> observations, MonotonicClock clock)
{
    private static readonly TimeSpan InfoInterval = TimeSpan.FromSeconds(1);

    private volatile bool _isLoading;

    /// <summary>Beats until the connection ends, the node is silent for too long, or says what makes watching it useless; returns which.</summary>
    internal async Task<(Evidence Evidence, string Detail)> RunAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource<(Evidence, string)> fault = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TimeSpan interval = policy.ProbeTimeout / 2;
        TimeSpan nextInfo = clock.Now;
        TimeSpan nextBeat = clock.Now;
        TimeSpan silenceBegins = clock.At(connection.LastReply);
        int missed = 0;
        _ = said.LearnSettingsAsync(connection);
        while (true)
        {
            TimeSpan now = clock.Now;
            if (now >= nextBeat)
            {
                // What it has when it has loaded is asked at once: before that it is not back.
                bool info = now >= nextInfo || _isLoading;
                _ = BeatOnceAsync(info, fault, cancellationToken);
                nextInfo = info ? now + InfoInterval : nextInfo;
                nextBeat = now + interval;
            }

            TimeSpan next = silenceBegins + ((missed + 1) * policy.ProbeTimeout);
            TimeSpan wake = next < nextBeat ? next : nextBeat;
            Task ended = await Task.WhenAny(connection.Closed, fault.Task, Task.Delay(wake > now ? wake - now : TimeSpan.Zero, clock.Provider, cancellationToken));
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
                observations.TryWrite(new NodeFailed(clock.Now, node, Evidence.Silent, detail));
                if (missed >= policy.MaxFailures)
                {
                    return (Evidence.Silent, detail);
                }
            }
        }
    }

    private async Task BeatOnceAsync(bool askInfo, TaskCompletionSource<(Evidence, string)> fault, CancellationToken cancellationToken)
    {
        TimeSpan asked = clock.Now;
        try
        {
            Task minReplicas = askInfo ? said.LearnMinReplicasAsync(connection) : Task.CompletedTask;
            RespValue reply = await connection.SendAsync(askInfo ? "INFO" : "PING");
            await minReplicas;

            TimeSpan now = clock.Now;
            _isLoading = reply.IsErrorOf("LOADING");
            if (_isLoading)
            {
                observations.TryWrite(new NodeFailed(now, node, Evidence.Loading, "it is loading its data set"));
            }
            else if (reply.IsErrorOf("NOAUTH") || reply.IsErrorOf("NOPERM") || reply.IsErrorOf("WRONGPASS"))
            {
                fault.TrySetResult((Evidence.Denied, $"it refuses our credentials ({reply.Text})"));
            }
            else if (askInfo && reply.IsError)
            {
                fault.TrySetResult((Evidence.Nonsense, $"it refuses INFO ({reply.Text})"));
            }
            else if (askInfo && await said.ReadAsync(reply, cancellationToken) is var info)
            {
                if (info.SaveFailed)
                {
                    // An operator helps himself by CONFIG SET; it is looked at as long as it matters.
                    _ = said.LearnSettingsAsync(connection);
                }

                _isLoading = info.Loading;
                observations.TryWrite(info.Loading
                    ? new NodeFailed(now, node, Evidence.Loading, "it is loading its data set")
                    : new NodeAnswered(now, asked, node, info, now - asked));
            }
            else
            {
                // Any other answer, an error too (MISCONF, a renamed PING), comes from a process that lives.
                observations.TryWrite(new NodeBeat(now, node, now - asked));
            }
        }
        catch (IOException)
        {
            // The connection ended; its end is reported once, by whoever waits for it.
        }
        catch (FormatException e)
        {
            fault.TrySetResult((Evidence.Nonsense, e.Message));
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The monitor stops.
        }
    }
}
