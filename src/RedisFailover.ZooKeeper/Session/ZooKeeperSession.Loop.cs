using System.Net.Sockets;
using System.Security.Authentication;

namespace RedisFailover.ZooKeeper;

/// <content>The loop that owns the session's life: connect, serve until the connection is lost, again.</content>
public sealed partial class ZooKeeperSession
{
    private byte[] _password = new byte[16];
    private TimeSpan _attemptTook;
    private int _xid;
    private int _refusals;
    private int _silences;
    private FormerSession? _former;
    private int _formerAttempts;
    private string? _toldRefused;
    private readonly HashSet<string> _toldUnreachable = [];

    /// <summary>What proves to a server that a connection belongs to this session. Never logged.</summary>
    internal ReadOnlyMemory<byte> Password => _password;

    /// <summary>
    /// Set when this side has given the session up by itself: the servers may keep it, and its ephemeral znodes, for a while yet.
    /// </summary>
    internal FormerSession? LeftBehind { get; private set; }

    private TimeSpan LocalExpiry => _options.GivesUpAfter ?? SessionTimeout * 4 / 3;

    private async Task RunAsync()
    {
        try
        {
            int failures = 0;
            while (!Volatile.Read(ref _disposed) && _endCode == ZooKeeperErrorCode.Ok && !GivenUp())
            {
                if (SessionId != 0 || failures > 0)
                {
                    await Task.Delay(UntilNextAttempt(failures), _time, _closing.Token).ConfigureAwait(false);
                }

                TimeSpan longest = LongestAttempt();
                ServerConnection? connection = await ConnectAsync(AttemptWithin(failures, longest), longest).ConfigureAwait(false);
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
            Log.SessionFailed(_logger, SessionId, e);
            LeftBehind = SessionId == 0 ? null : new FormerSession(SessionId, _password);
            End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SystemError,
                $"the client gave the session up because of {e.GetType().Name}: {e.Message}");
        }

        if (_endCode == ZooKeeperErrorCode.Ok)
        {
            if (SessionId != 0)
            {
                Log.SessionClosed(_logger, SessionId);
            }

            End(ZooKeeperSessionState.Closed, ZooKeeperErrorCode.Closing);
        }
    }

    private TimeSpan UntilNextAttempt(int failures)
    {
        TimeSpan backoff = Dialer.Backoff(failures, SessionTimeout, _options.ReconnectWithin);
        TimeSpan left = LocalExpiry - _time.GetElapsedTime(_lastContact.Monotonic);
        return SessionId == 0 || backoff < left ? backoff : left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>
    /// Only a server can say that a session has expired. When none can be asked for 4/3 T it has: nobody will find it alive.
    /// </summary>
    private bool GivenUp()
    {
        TimeSpan down = _time.GetElapsedTime(_lastContact.Monotonic);
        if (SessionId == 0 || down < LocalExpiry)
        {
            return false;
        }

        if (_refusals > 0)
        {
            Log.SessionRefused(_logger, SessionId, down.TotalMilliseconds, LastZxid);
        }
        else
        {
            Log.SessionExpiredLocally(_logger, SessionId, down.TotalMilliseconds);
        }

        LeftBehind = new FormerSession(SessionId, _password);
        End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
        return true;
    }

    /// <summary>
    /// How long a server may take to accept, and then to answer. One that accepts and does not answer, as one of a dead host, must not
    /// hold up the others: at first three times as long as the last connection took, twice as long after each round of failures, T/hosts at
    /// most.
    /// </summary>
    private TimeSpan AttemptWithin(int failures, TimeSpan longest)
    {
        if (SessionId == 0)
        {
            return longest;
        }

        TimeSpan within = 3 * _attemptTook > _options.ShortestAttempt ? 3 * _attemptTook : _options.ShortestAttempt;
        for (int round = failures / _dialer.HostCount; round > 0 && within < longest; round--)
        {
            within *= 2;
        }

        return within < longest ? within : longest;
    }

    /// <summary>
    /// T/hosts, and no longer than until the local expiry. Where the network is slow that is too short for any server: up to T then, for
    /// a new session once a whole round was not answered, for a session by what its last connection took.
    /// </summary>
    private TimeSpan LongestAttempt()
    {
        TimeSpan longest = SessionTimeout / _dialer.HostCount;
        TimeSpan slow = SessionId == 0 ? longest * (1 << Math.Min(_silences / _dialer.HostCount, 4)) : 1.5 * _attemptTook;
        slow = slow < SessionTimeout ? slow : SessionTimeout;
        longest = longest > slow ? longest : slow;
        if (SessionId == 0)
        {
            return longest;
        }

        TimeSpan left = LocalExpiry - _time.GetElapsedTime(_lastContact.Monotonic);
        longest = left < longest ? left : longest;
        return longest < TimeSpan.FromMilliseconds(20) ? TimeSpan.FromMilliseconds(20) : longest;
    }

    /// <summary>One attempt with the next host. Null if it failed, or if the server said that the session is over.</summary>
    private async Task<ServerConnection?> ConnectAsync(TimeSpan within, TimeSpan longest)
    {
        ZooKeeperHost host = _dialer.NextHost();
        long begun = _time.GetTimestamp();
        ServerConnection? connection = null;
        // A name server that is slow is no server that is silent.
        using var deadline = new CancellationTokenSource(longest, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _closing.Token);
        try
        {
            (Stream stream, string server) = await _dialer.OpenAsync(host, within, either.Token).ConfigureAwait(false);
            connection = new ServerConnection(stream, server, _options.Connection.Chroot, _xid, _time);
            if (_former is not null)
            {
                await EndFormerAsync(connection, either.Token).ConfigureAwait(false);
                (stream, server) = await _dialer.OpenAsync(host, within, either.Token).ConfigureAwait(false);
                connection = new ServerConnection(stream, server, _options.Connection.Chroot, _xid, _time);
            }

            deadline.CancelAfter(within);
            if (await HandshakeAsync(connection, either.Token).ConfigureAwait(false))
            {
                _attemptTook = _time.GetElapsedTime(begun);
                return connection;
            }

            connection.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            return null;
        }
        catch (Exception e) when (!_closing.IsCancellationRequested
            && e is SocketException or IOException or TimeoutException or OperationCanceledException or InvalidDataException
                or AuthenticationException)
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, e);
            _refusals += connection is not null && e is EndOfStreamException ? 1 : 0;
            _silences = e is OperationCanceledException ? _silences + 1 : 0;
            string why = e is OperationCanceledException
                ? $"{host}: no answer within {within.TotalMilliseconds:0} ms" : $"{host}: {e.GetBaseException().Message}";
            if (SessionId == 0 && _toldUnreachable.Add(why))
            {
                // Each reason once, however often it comes back.
                Log.Unreachable(_logger, why);
            }

            return null;
        }
        catch
        {
            connection?.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
            throw;
        }
    }

    /// <summary>
    /// Closes the session before this one, if the server still has it. Otherwise its ephemeral znodes would stand in the way of their own
    /// maker until the server expires it; after a restart it counts its timeout anew.
    /// </summary>
    private async Task EndFormerAsync(ServerConnection connection, CancellationToken cancellationToken)
    {
        const int attempts = 5;
        FormerSession former = _former!;
        try
        {
            // Not its last zxid: a server that has lost data is to answer too.
            ConnectResponse response = await GreetAsync(connection, 0, former.Id, former.Password, cancellationToken).ConfigureAwait(false);
            if (response.TimeoutMs > 0 && response.SessionId == former.Id)
            {
                connection.SendRaw(static writer =>
                {
                    writer.Int32(1);
                    writer.Int32((int)OpCode.CloseSession);
                });
                await Dialer.OnThreadOfItsOwnAsync(() => connection.Receive().Length, connection, cancellationToken).ConfigureAwait(false);
                if (former.RefusedScheme is null)
                {
                    Log.FormerSessionClosed(_logger, former.Id, connection.Server);
                }
            }

            _former = null;
        }
        finally
        {
            // It is not worth more than a few attempts: the server expires it in the end.
            _former = ++_formerAttempts < attempts ? _former : null;
            connection.FailAll(ZooKeeperErrorCode.ConnectionLoss, null);
        }
    }

    private async Task<ConnectResponse> GreetAsync(
        ServerConnection connection, long lastZxid, long sessionId, byte[] password, CancellationToken cancellationToken)
    {
        connection.SendRaw(writer =>
        {
            writer.Int32(0);
            writer.Int64(lastZxid);
            writer.Int32((int)_options.SessionTimeout.TotalMilliseconds);
            writer.Int64(sessionId);
            writer.Buffer(password);
            writer.Bool(false);
        });
        return await Dialer.OnThreadOfItsOwnAsync(
            () => ConnectResponse.Read(connection.Receive().Span), connection, cancellationToken).ConfigureAwait(false);
    }

    private async Task<bool> HandshakeAsync(ServerConnection connection, CancellationToken cancellationToken)
    {
        ConnectResponse response = await GreetAsync(connection, LastZxid, SessionId, _password, cancellationToken).ConfigureAwait(false);
        if (response.TimeoutMs <= 0 || (SessionId != 0 && response.SessionId != SessionId))
        {
            if (SessionId == 0)
            {
                throw new InvalidDataException("the server refused to create a session");
            }

            Log.SessionExpired(_logger, SessionId, connection.Server);
            End(ZooKeeperSessionState.Expired, ZooKeeperErrorCode.SessionExpired);
            return false;
        }

        if (response.ReadOnly)
        {
            // It has lost its quorum: as good as not connected.
            throw new InvalidDataException("the server is read-only");
        }

        double downMs = _lastContact.Elapsed(_time).TotalMilliseconds;
        SessionId = response.SessionId;
        SessionTimeout = TimeSpan.FromMilliseconds(response.TimeoutMs);
        _password = response.Password;
        if (_established.Task.IsCompleted)
        {
            Log.SessionReconnected(_logger, SessionId, connection.Server, downMs);
        }

        return true;
    }
}
