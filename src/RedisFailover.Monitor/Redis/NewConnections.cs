using System.Security.Authentication;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Tries now and then whether a node takes a new connection and our login on it, and whether it holds writes. The connection that is kept
/// outlives a firewall that drops what is new, a full backlog, another port and another password, and INFO is answered by a paused node.
/// </summary>
internal sealed class NewConnections(Probed probed, TcpDialer dialer, RedisCredentials credentials, NodeLogin login)
{
    /// <summary>What a prober before this one has told holds no longer.</summary>
    private bool _told = true;

    /// <summary>While there is a connection, which was just made.</summary>
    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        TimeSpan begun = probed.Clock.Now, since = begun;
        Tell(null, begun);
        int failures = 0;
        try
        {
            while (true)
            {
                TimeSpan pause = failures is 0 || failures >= probed.Policy.MaxFailures
                    ? probed.ConnectsAnewAfter : probed.Policy.ProbeTimeout;
                await Task.Delay(pause, probed.Clock.Provider, cancellationToken);
                begun = probed.Clock.Now;
                (ProbeFailure ProbeFailure, string Detail)? failure = await TryAsync(cancellationToken);
                if (failure is { ProbeFailure: ProbeFailure.Local or ProbeFailure.Closed })
                {
                    // Ours, and not the node's; or a node at its maxclients, which INFO tells.
                    continue;
                }

                since = failures == 0 ? begun : since;
                failures = failure is null ? 0 : failures + 1;
                if (failure is null || failures >= probed.Policy.MaxFailures)
                {
                    Tell(failure, since);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The connection has ended: a new one is made anyway.
        }
    }

    private void Tell((ProbeFailure ProbeFailure, string Detail)? failure, TimeSpan since)
    {
        if (failure is not null || _told)
        {
            probed.Report(new NewConnectionTried(probed.Clock.Now, probed.Node, failure?.ProbeFailure, failure?.Detail ?? "")
            {
                Since = since,
            });
        }

        _told = failure is not null;
    }

    private async Task<(ProbeFailure ProbeFailure, string Detail)?> TryAsync(CancellationToken cancellationToken)
    {
        try
        {
            (RedisConnection? made, Dialed dialed) = await RedisConnection.ConnectAsync(
                probed.Node, dialer, probed.Clock.Provider, probed.Policy.ProbeTimeout, cancellationToken, credentials.Tls);
            if (made is null)
            {
                return (ProbeEnd.Of(dialed.Fault), dialed.Detail);
            }

            await using (made)
            {
                if (await login.LogInAsync(made, cancellationToken) is { } refused)
                {
                    return refused;
                }

                // Whatever it says, it serves who is new.
                RespValue begun = await made.SendAsync("MULTI").WaitAsync(
                    probed.Policy.ProbeTimeout, probed.Clock.Provider, cancellationToken);
                return begun.IsError || await QueuesWritesAsync(made, cancellationToken) ? null
                    : (ProbeFailure.WritesHeld, "CLIENT PAUSE");
            }
        }
        catch (AuthenticationException e)
        {
            return (ProbeFailure.AuthRefused, $"no TLS with it: {Words.Quoted(e.Message)}");
        }
        catch (TimeoutException)
        {
            return (ProbeFailure.Silent, $"no answer for {probed.Policy.ProbeTimeout.TotalMilliseconds:0} ms");
        }
        catch (IOException e)
        {
            return ProbeEnd.Of(e);
        }
    }

    /// <summary>
    /// A paused node holds what would change something before it queues it. In a transaction that ends with the connection nothing is
    /// carried out, and PUBLISH counts as a write since CLIENT PAUSE can hold writes alone (Redis 6.2).
    /// </summary>
    private async Task<bool> QueuesWritesAsync(RedisConnection made, CancellationToken cancellationToken)
    {
        try
        {
            await made.SendAsync("PUBLISH", NodeRight.MasterChangedChannel, "").WaitAsync(
                probed.Policy.ProbeTimeout, probed.Clock.Provider, cancellationToken);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
