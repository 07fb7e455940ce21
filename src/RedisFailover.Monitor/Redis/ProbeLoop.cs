using System.Security.Authentication;
using System.Threading.Channels;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>A node that is watched, and what its watching needs.</summary>
/// <param name="Node">The node.</param>
/// <param name="Policy">How often it is asked, and for how long its answers are waited for.</param>
/// <param name="Said">Reads what it says.</param>
/// <param name="Observations">Where to what it does is reported.</param>
/// <param name="Clock">The source of time.</param>
/// <param name="IsLeading">Whether this monitor leads; null where nobody knows.</param>
internal sealed record Probed(
    NodeAddress Node, FailoverPolicy Policy, NodeInfoReader Said, ChannelWriter<Observation> Observations, MonotonicClock Clock,
    Func<bool>? IsLeading = null)
{
    /// <summary>How often it is tried whether the node takes a new connection.</summary>
    internal TimeSpan ConnectsAnewAfter { get; init; } = Timeout.InfiniteTimeSpan;

    internal void Report(Observation observation) => Observations.TryWrite(observation);
}

/// <summary>
/// Keeps a connection to one node: made, logged in, watched by a <see cref="PingLoop"/> until it ends, reported, and made anew, at once or
/// ever more slowly (<see cref="ProbeRetry"/>).
/// </summary>
internal sealed class ProbeLoop
{
    private readonly Probed _probed;
    private readonly FencedConnection _connection;
    private readonly RedisCredentials _credentials;
    private readonly NodeNames _names;
    private readonly ProbeRetry _retry;
    private readonly NodeLogin _login;
    private readonly TcpDialer _dialer;
    private readonly NewConnections _anew;

    internal ProbeLoop(Probed probed, FencedConnection connection, RedisCredentials credentials, NodeNames names)
    {
        (_probed, _connection, _credentials, _names) = (probed, connection, credentials, names);
        _retry = new ProbeRetry(probed.Policy, probed.IsLeading);
        _login = new NodeLogin(credentials, probed.Said, probed.Policy.ProbeTimeout, probed.Clock);
        _dialer = new TcpDialer(names.Hosts, probed.Clock.Provider);
        _anew = new NewConnections(probed, _dialer, credentials, _login);
    }

    /// <summary>Until it is cancelled.</summary>
    internal async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                TimeSpan begun = _probed.Clock.Now;
                (ProbeFailure ProbeFailure, string Detail) end = await ConnectionAsync(cancellationToken);
                (ProbeFailure failure, string detail) = _retry.Ended(end, begun, _probed.Clock.Now);
                if (failure is not (ProbeFailure.Silent or ProbeFailure.Loading))
                {
                    _probed.Report(new NodeFailed(_probed.Clock.Now, _probed.Node, failure, detail));
                }

                if (_retry.After(failure) is { } wait)
                {
                    await Task.Delay(wait, _probed.Clock.Provider, cancellationToken);
                }
                else
                {
                    await Task.Yield();
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The monitor stops.
        }
    }

    /// <summary>One connection from its making to its end, and how it ended.</summary>
    private async Task<(ProbeFailure ProbeFailure, string Detail)> ConnectionAsync(CancellationToken cancellationToken)
    {
        RedisConnection? made;
        Dialed dialed;
        try
        {
            (made, dialed) = await RedisConnection.ConnectAsync(
                _probed.Node, _dialer, _probed.Clock.Provider, _probed.Policy.ProbeTimeout, cancellationToken, _credentials.Tls);
        }
        catch (AuthenticationException e)
        {
            return (ProbeFailure.AuthRefused, $"no TLS with it: {Words.Quoted(e.Message)}");
        }

        if (made is null)
        {
            ProbeFailure failure = ProbeEnd.Of(dialed.Fault);
            if (failure == ProbeFailure.Silent)
            {
                _probed.Report(new NodeFailed(_probed.Clock.Now, _probed.Node, failure, dialed.Detail));
            }

            return (failure, dialed.Detail);
        }

        await using (made)
        {
            if (await _login.LogInAsync(made, cancellationToken) is { } refused)
            {
                return refused;
            }

            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            Task trying = Task.CompletedTask;
            try
            {
                _connection.Set(made);
                var name = new NameCheck(_names.Hosts, _probed.Node.Host, dialed.EndPoint, PingLoop.NameInterval, _probed.Clock.Provider);
                trying = _anew.RunAsync(over.Token);
                var pings = new PingLoop(
                    _probed, made,
                    async () => name.HasMoved() && await ListensThereAsync(cancellationToken),
                    () => RefusedAsync(cancellationToken));
                return await pings.RunAsync(cancellationToken);
            }
            finally
            {
                _connection.Set(null);
                await over.CancelAsync();
                await trying;
            }
        }
    }

    /// <summary>A name that is wrong for a moment must not end a connection that works.</summary>
    private async Task<bool> ListensThereAsync(CancellationToken cancellationToken)
        => await DialAsync(cancellationToken) is { Socket: not null };

    private async Task<(ProbeFailure, string)?> RefusedAsync(CancellationToken cancellationToken)
        => await DialAsync(cancellationToken) is { Fault: DialFault.Refused, Socket: null } there
            ? (ProbeFailure.Refused, there.Detail) : null;

    /// <summary>Whether a connection can be made; the one that was is closed again.</summary>
    private async Task<Dialed> DialAsync(CancellationToken cancellationToken)
    {
        Dialed there = await _dialer.ConnectAsync(_probed.Node.Host, _probed.Node.Port, _probed.Policy.ProbeTimeout, cancellationToken);
        there.Socket?.Dispose();
        return there;
    }
}
