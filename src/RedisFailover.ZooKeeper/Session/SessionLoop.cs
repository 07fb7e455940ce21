using System.Collections.Immutable;
using System.Net.Sockets;
using System.Security.Authentication;

namespace RedisFailover.ZooKeeper;

/// <summary>The loop that owns a session's life: connect, serve until the connection is lost, again.</summary>
internal sealed class SessionLoop
{
    /// <summary>Of a setWatches request, so that it stays below what a server accepts (Java's client uses the same).</summary>
    private const int SetWatchesChunkBytes = 128 * 1024;

    /// <summary>The former session is not worth more: the server expires it in the end.</summary>
    private const int FormerAttempts = 5;

    private readonly SessionParts _parts;
    private readonly SessionIdentity _identity;
    private readonly SessionLifetime _lifetime;
    private readonly ZooKeeperOptions _options;
    private readonly TimeProvider _time;
    private readonly Dialer _dialer;
    private readonly ReconnectTimes _times;
    private readonly CancellationToken _closing;
    private readonly HashSet<string> _toldUnreachable = [];
    private readonly HashSet<string> _strangers = [];
    private ImmutableArray<ZooKeeperAuth> _auth;
    private FormerSession? _former;
    private int _formerAttempts;
    private int _refusals;
    private long _connectedAt;

    /// <param name="parts">What it drives.</param>
    /// <param name="lifetime">What it tells of.</param>
    /// <param name="former">The session before this one, to be closed first; null for none.</param>
    /// <param name="closing">Ends whatever it is at; the session ends as closed, unless it has ended before.</param>
    internal SessionLoop(SessionParts parts, SessionLifetime lifetime, FormerSession? former, CancellationToken closing)
    {
        (_parts, _identity, _lifetime, _options, _former, _closing) = (parts, parts.Identity, lifetime, parts.Options, former, closing);
        _time = _options.TimeProvider;
        _dialer = new Dialer(_options);
        _times = new ReconnectTimes(_identity, _options, _dialer.HostCount);
        _auth = _options.Auth.IsDefault ? [] : _options.Auth;
    }

    /// <summary>How many servers it may be connected to.</summary>
    internal int ServerCount => _dialer.ServerCount;

    /// <summary>When its connection was made, by the monotonic clock.</summary>
    internal long ConnectedAt => Volatile.Read(ref _connectedAt);

    /// <summary>Credentials for every connection to come.</summary>
    internal void AddAuth(ZooKeeperAuth auth) => ImmutableInterlocked.Update(ref _auth, static (all, one) => all.Add(one), auth);

    /// <summary>Runs until the session has ended. Does not throw.</summary>
    internal async Task RunAsync()
    {
        try
        {
            int failures = 0;
            while (!_parts.Requests.IsClosing && _lifetime.EndCode == ZooKeeperErrorCode.Ok && !GiveUpIfDue())
            {
                if (_identity.Id != 0 || failures > 0)
                {
                    await Task.Delay(_times.UntilNextAttempt(failures), _time, _closing).ConfigureAwait(false);
                }

                TimeSpan longest = _times.LongestAttempt;
                ServerConnection? connection = await ConnectAsync(_times.AttemptWithin(failures, longest), longest).ConfigureAwait(false);
                bool answered = connection is not null && await ServeAsync(connection).ConfigureAwait(false);
                failures = answered ? 0 : failures + 1;
            }
        }
        catch (Exception) when (_closing.IsCancellationRequested)
        {
            // Closed while connecting or waiting.
        }
#pragma warning disable CA1031 // A defect must not leave everybody waiting for ever: the session ends, and the log says why.
        catch (Exception e)
#pragma warning restore CA1031
        {
            Log.SessionFailed(_parts.Logger, _identity.Id, e);
            _identity.LeaveBehind();
            _lifetime.End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SystemError,
                $"the client gave the session up because of {e.GetType().Name}: {e.Message}");
        }

        if (_lifetime.EndCode == ZooKeeperErrorCode.Ok)
        {
            if (_identity.Id != 0)
            {
                Log.SessionClosed(_parts.Logger, _identity.Id);
            }

            _lifetime.End(ZooKeeperSessionState.Closed, ZooKeeperErrorCode.Closing);
        }
    }

    private bool GiveUpIfDue()
    {
        if (!_times.IsGivenUp)
        {
            return false;
        }

        double down = _times.Down.TotalMilliseconds;
        if (_refusals > 0)
        {
            Log.SessionRefused(_parts.Logger, _identity.Id, down, _identity.LastZxid);
        }
        else
        {
            Log.SessionExpiredLocally(_parts.Logger, _identity.Id, down);
        }

        _identity.LeaveBehind();
        _lifetime.End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
        return true;
    }

    /// <summary>One attempt with the next host. Null if it failed, or if the server said that the session is over.</summary>
    private async Task<ServerConnection?> ConnectAsync(TimeSpan within, TimeSpan longest)
    {
        ZooKeeperHost host = _dialer.NextHost();
        long begun = _time.GetTimestamp();
        ServerConnection? connection = null;
        // A name server that is slow is no server that is silent.
        using var deadline = new CancellationTokenSource(longest, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _closing);
        try
        {
            connection = await OpenAsync(host, within, either.Token).ConfigureAwait(false);
            if (_former is not null)
            {
                await CloseFormerAsync(connection, _former, either.Token).ConfigureAwait(false);
                connection = await OpenAsync(host, within, either.Token).ConfigureAwait(false);
            }

            deadline.CancelAfter(within);
            if (await IsAcceptedAsync(connection, either.Token).ConfigureAwait(false))
            {
                _times.AttemptTook = _time.GetElapsedTime(begun);
                return connection;
            }

            connection.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            return null;
        }
        catch (Exception e) when (!_closing.IsCancellationRequested && IsFailedAttempt(e))
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, e);
            if (connection is not null && e is EndOfStreamException && _identity.Id != 0)
            {
                _refusals++;
                await AskWhetherKnownAsync(host, within, either.Token).ConfigureAwait(false);
            }

            _times.Silences = e is OperationCanceledException ? _times.Silences + 1 : 0;
            TellUnreachable(e is OperationCanceledException
                ? $"{host}: no answer within {within.TotalMilliseconds:0} ms" : $"{host}: {e.GetBaseException().Message}");
            return null;
        }
        catch
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            throw;
        }
    }

    /// <summary>
    /// A server that has seen less than this session closes the connection without a word, for as long as it is asked. Asked without what
    /// was seen, it says whether its quorum knows the session. If not, the data were lost or put back, and the session went with them.
    /// </summary>
    private async Task AskWhetherKnownAsync(ZooKeeperHost host, TimeSpan within, CancellationToken cancellationToken)
    {
        ServerConnection? connection = null;
        try
        {
            connection = await OpenAsync(host, within, cancellationToken).ConfigureAwait(false);
            ConnectResponse response = await Handshake.GreetAsync(
                connection, _options.SessionTimeout, 0, (_identity.Id, _identity.Password), cancellationToken).ConfigureAwait(false);
            bool isUnknown = response.TimeoutMs <= 0 || response.SessionId != _identity.Id;
            string server = _dialer.ServersOf(host) == 1 ? host.ToString() : connection.Server;
            _ = isUnknown ? _strangers.Add(server) : _strangers.Remove(server);
            // One server of several that was started alone, or from a backup, does not speak for the ensemble.
            if (isUnknown && _strangers.Count * 2 > ServerCount)
            {
                Log.SessionUnknown(_parts.Logger, _identity.Id, connection.Server, _identity.LastZxid);
                // A leader that the ensemble has left may say so too: then the session is still there to be closed.
                _identity.LeaveBehind();
                _lifetime.End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
            }
        }
        catch (Exception e) when (!_closing.IsCancellationRequested && IsFailedAttempt(e))
        {
            // It serves nobody at present.
        }
        finally
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
        }
    }

    private static bool IsFailedAttempt(Exception e) => e is SocketException or IOException or TimeoutException
        or OperationCanceledException or InvalidDataException or AuthenticationException;

    private async Task<ServerConnection> OpenAsync(ZooKeeperHost host, TimeSpan within, CancellationToken cancellationToken)
    {
        (Stream stream, string server) = await _dialer.OpenAsync(host, within, cancellationToken).ConfigureAwait(false);
        return new ServerConnection(stream, server, _options.Connection.Chroot, _identity.LastXid, _time);
    }

    private async Task CloseFormerAsync(ServerConnection connection, FormerSession former, CancellationToken cancellationToken)
    {
        try
        {
            await Handshake.CloseFormerAsync(connection, _options.SessionTimeout, former, _parts.Logger, cancellationToken)
                .ConfigureAwait(false);
            _former = null;
        }
        finally
        {
            _former = ++_formerAttempts < FormerAttempts ? _former : null;
            connection.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
        }
    }

    /// <summary>Each reason once, however often it comes back.</summary>
    private void TellUnreachable(string why)
    {
        if (_identity.Id == 0 && _toldUnreachable.Add(why))
        {
            Log.Unreachable(_parts.Logger, why);
            _options.CannotReach?.Invoke(why);
        }
    }

    /// <summary>False: the server says that the session is over.</summary>
    private async Task<bool> IsAcceptedAsync(ServerConnection connection, CancellationToken cancellationToken)
    {
        bool isNew = _identity.Id == 0;
        ConnectResponse response = await Handshake.GreetAsync(
            connection, _options.SessionTimeout, _identity.LastZxid, (_identity.Id, _identity.Password), cancellationToken)
            .ConfigureAwait(false);
        if (response.TimeoutMs <= 0 || (!isNew && response.SessionId != _identity.Id))
        {
            if (isNew)
            {
                throw new InvalidDataException("the server refused to create a session");
            }

            Log.SessionExpired(_parts.Logger, _identity.Id, connection.Server);
            _lifetime.End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
            return false;
        }

        if (response.ReadOnly)
        {
            // It has lost its quorum: as good as not connected.
            throw new InvalidDataException("the server is read-only");
        }

        _strangers.Clear();
        _identity.Accepted(response);
        if (_lifetime.Established.IsCompleted)
        {
            double down = _identity.LastContact.Elapsed(_time).TotalMilliseconds;
            Log.SessionReconnected(_parts.Logger, _identity.Id, connection.Server, down);
        }

        return true;
    }

    /// <summary>Reads until the connection is lost. True if the server answered anything after the handshake.</summary>
    private async Task<bool> ServeAsync(ServerConnection connection)
    {
        Exception? cause = null;
        _parts.Watches.TellThrough(connection.Handoff);
        connection.KeepAlive(_identity.Timeout);
        Volatile.Write(ref _connectedAt, _time.GetTimestamp());
        FrameHandler frames = Announce(connection);
        using CancellationTokenRegistration closing =
            _closing.UnsafeRegister(static c => ((ServerConnection)c!).Dispose(), connection);
        try
        {
            await connection.ReadAsync(frame => frames.Handle(frame.Span)).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException or InvalidDataException)
        {
            cause = e;
        }
        catch (Exception e)
        {
            // A defect, or a user's code that throws where nobody catches: the session ends, and nothing of it may live on.
            _parts.Requests.Detach();
            connection.FailAll(ZooKeeperErrorCode.SystemError, e);
            throw;
        }

        (_identity.LastContact, _identity.LastXid, _refusals) = (connection.LastReceive, connection.LastXid, 0);
        _parts.Requests.Detach();
        if (_closing.IsCancellationRequested)
        {
            connection.FailAll(ZooKeeperErrorCode.Closing, null);
            return true;
        }

        if (_lifetime.EndCode == ZooKeeperErrorCode.Ok && !_parts.Requests.IsClosing)
        {
            Log.ConnectionLost(_parts.Logger, _identity.Id, connection.Server, connection.AbortReason ?? cause?.Message ?? "");
            _lifetime.Become(ZooKeeperSessionState.Disconnected);
        }

        connection.FailAll(_lifetime.EndCode == ZooKeeperErrorCode.Ok ? ZooKeeperErrorCode.ConnectionLoss : _lifetime.EndCode, cause);
        return frames.HasHeard;
    }

    /// <summary>The order matters: credentials, watches, then what users have asked for meanwhile.</summary>
    private FrameHandler Announce(ServerConnection connection)
    {
        if (_options.AuthSource is { } source)
        {
            ImmutableInterlocked.InterlockedExchange(ref _auth, source());
        }

        ImmutableArray<ZooKeeperAuth> credentials = _auth;
        foreach (ZooKeeperAuth auth in credentials)
        {
            connection.TrySend(new AuthRequest(auth));
        }

        List<SetWatchesRequest> watches = SetWatchesRequest.For(_parts.Watches.Table, _identity.LastZxid, SetWatchesChunkBytes);
        foreach (SetWatchesRequest request in watches)
        {
            connection.TrySend(request);
        }

        _parts.Requests.Attach(connection);
        _lifetime.Become(ZooKeeperSessionState.Connected);
        if (credentials.IsEmpty)
        {
            _lifetime.Establish(connection.Server);
        }

        return new FrameHandler(connection, _parts, _lifetime, watches.Count);
    }
}
