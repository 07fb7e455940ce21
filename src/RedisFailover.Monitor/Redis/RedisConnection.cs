using System.Buffers;
using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// One connection to one node. A read is always pending on it, so a closed socket is known in the same millisecond. Commands are
/// pipelined; replies come in order. It has no deadlines of its own: its user has.
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private readonly Socket _socket;
    private readonly SslStream? _tls;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly Queue<TaskCompletionSource<RespValue>> _pending = new();
    private readonly TaskCompletionSource<Exception> _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _end;
    private Task _reading = Task.CompletedTask;
    private long _lastReply;

    private RedisConnection(Socket socket, SslStream? tls, TimeProvider time)
    {
        _socket = socket;
        _tls = tls;
        _time = time;
        _lastReply = time.GetTimestamp();
    }

    /// <summary>Completes, never faults, with the reason when the connection has ended.</summary>
    internal Task<Exception> Closed => _closed.Task;

    /// <summary>When the last reply arrived (<see cref="TimeProvider.GetTimestamp"/>); before the first, when it was connected.</summary>
    internal long LastReply => Volatile.Read(ref _lastReply);

    /// <summary>Connects within a time. That it cannot be reached is an answer and no exception.</summary>
    /// <returns>The connection, or why there is none.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="AuthenticationException">TLS: it speaks none, or its certificate or ours is not accepted.</exception>
    internal static async Task<(RedisConnection? Connection, Dialed Answer)> ConnectAsync(
        NodeAddress node, TcpDialer dialer, TimeProvider time, TimeSpan within, CancellationToken cancellationToken, TlsFiles? tls = null)
    {
        Dialed dialed = await dialer.ConnectAsync(node.Host, node.Port, within, cancellationToken);
        if (dialed.Socket is not { } socket)
        {
            return (null, dialed);
        }

        if (tls is null)
        {
            return (Over(socket, time), dialed);
        }

        socket.Blocking = false;
        (SslStream? secured, Dialed? fault) = await SecureAsync(socket, tls, node, time, within, cancellationToken);
        return fault is { } failed ? (null, failed) : (Over(socket, time, secured), dialed);
    }

    /// <summary>A connection over a socket that is connected, and secured where there is a stream.</summary>
    internal static RedisConnection Over(Socket socket, TimeProvider time, SslStream? secured = null)
    {
        // A send must never wait: see SendAsync.
        socket.Blocking = false;
        // What was not delivered when it is closed must never be: delivered by a late retransmission, a command would undo
        // what was sent over the next connection.
        socket.LingerState = new LingerOption(true, 0);
        var connection = new RedisConnection(socket, secured, time);
        connection._reading = connection.ReadAsync();
        return connection;
    }

    private static async Task<(SslStream? Secured, Dialed? Fault)> SecureAsync(
        Socket socket, TlsFiles tls, NodeAddress node, TimeProvider time, TimeSpan within, CancellationToken cancellationToken)
    {
        SslStream? secured = null;
        bool done = false;
        try
        {
            SslClientAuthenticationOptions options = Options(tls, node.Host);
            using var deadline = new CancellationTokenSource(within, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
            secured = new SslStream(new SocketStream(socket));
            await secured.AuthenticateAsClientAsync(options, either.Token);
            done = true;
            return (secured, null);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, new Dialed(null, DialFault.Silent, $"no TLS within {within.TotalMilliseconds:0} ms"));
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            return (null, new Dialed(null, DialFault.Closed, "connection closed by the node before TLS was agreed upon"));
        }
        finally
        {
            if (!done)
            {
                await (secured?.DisposeAsync() ?? ValueTask.CompletedTask);
                socket.Dispose();
            }
        }
    }

    /// <summary>What is wrong with our own files says nothing about the node.</summary>
    private static SslClientAuthenticationOptions Options(TlsFiles tls, string host)
    {
        try
        {
            return tls.For(host);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new AuthenticationException(e.Message, e);
        }
    }

    /// <summary>Sends a command; the reply, errors included, is the result.</summary>
    /// <exception cref="IOException">The connection ended before the reply: the command may have been carried out.</exception>
    internal Task<RespValue> SendAsync(params ReadOnlySpan<string> command)
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        Encode(command, buffer);
        var reply = new TaskCompletionSource<RespValue>(TaskCreationOptions.RunContinuationsAsynchronously);
        return Send(buffer.WrittenSpan, [reply]) is { } ended ? Task.FromException<RespValue>(ended) : reply.Task;
    }

    /// <summary>Sends commands in one go: nobody else's command comes between them.</summary>
    /// <exception cref="IOException">As <see cref="SendAsync"/>.</exception>
    internal Task<RespValue[]> SendAllAsync(IReadOnlyList<string[]> commands)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        foreach (string[] command in commands)
        {
            Encode(command, buffer);
        }

        TaskCompletionSource<RespValue>[] replies =
            [.. commands.Select(_ => new TaskCompletionSource<RespValue>(TaskCreationOptions.RunContinuationsAsynchronously))];
        return Send(buffer.WrittenSpan, replies) is { } ended
            ? Task.FromException<RespValue[]>(ended)
            : Task.WhenAll(replies.Select(r => r.Task));
    }

    /// <summary>Sends, and has the replies given to those who wait; returns why nothing could be sent, or null.</summary>
    private IOException? Send(ReadOnlySpan<byte> bytes, ReadOnlySpan<TaskCompletionSource<RespValue>> replies)
    {
        lock (_gate)
        {
            if (_end is { } end)
            {
                return new IOException(end.Message, end);
            }

            foreach (TaskCompletionSource<RespValue> reply in replies)
            {
                _pending.Enqueue(reply);
            }

            try
            {
                // The socket's buffer takes these few bytes at once. Where it does not, the node has not read for long and is as
                // good as gone: the rest cannot be sent without waiting, so the connection ends.
                if (_tls is not null)
                {
                    _tls.Write(bytes);
                }
                else if (_socket.Send(bytes, SocketFlags.None, out SocketError error) is var sent
                    && (error != SocketError.Success || sent != bytes.Length)
                    // Closed by the node: what it said before (maxclients) may still be unread, and whoever reads it ends the connection.
                    && error is not (SocketError.ConnectionReset or SocketError.ConnectionAborted or SocketError.Shutdown))
                {
                    throw new SocketException((int)(error == SocketError.Success ? SocketError.NoBufferSpaceAvailable : error));
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException or InvalidOperationException)
            {
                End(e);
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            End(new IOException("the monitor closed the connection"));
        }

        await _reading;
    }

    private static void Encode(ReadOnlySpan<string> command, ArrayBufferWriter<byte> buffer)
    {
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*{command.Length}\r\n"), buffer);
        foreach (string word in command)
        {
            Encoding.UTF8.GetBytes(
                string.Create(CultureInfo.InvariantCulture, $"${Encoding.UTF8.GetByteCount(word)}\r\n{word}\r\n"), buffer);
        }
    }

    private async Task ReadAsync()
    {
        byte[] buffer = new byte[8192];
        int filled = 0;
        try
        {
            while (true)
            {
                int received =
                    await (_tls?.ReadAsync(buffer.AsMemory(filled)) ?? _socket.ReceiveAsync(buffer.AsMemory(filled), SocketFlags.None));
                if (received == 0)
                {
                    lock (_gate)
                    {
                        End(new IOException("connection closed by the node"));
                    }

                    return;
                }

                filled += received;
                var unread = new ReadOnlySequence<byte>(buffer, 0, filled);
                while (RespReader.TryRead(ref unread, out RespValue value))
                {
                    Complete(value);
                }

                // What is left is the beginning of a reply; the reader limits how long one may be.
                unread.CopyTo(buffer);
                filled = (int)unread.Length;
                if (filled == buffer.Length)
                {
                    Array.Resize(ref buffer, buffer.Length * 2);
                }
            }
        }
        catch (Exception e) when (
            e is IOException or SocketException or ObjectDisposedException or RedisProtocolException or RedisRefusedException)
        {
            lock (_gate)
            {
                End(e);
            }
        }
    }

    private void Complete(RespValue value)
    {
        Volatile.Write(ref _lastReply, _time.GetTimestamp());
        TaskCompletionSource<RespValue>? reply;
        lock (_gate)
        {
            _pending.TryDequeue(out reply);
        }

        if (value.IsErrorOf("DENIED") || (value.IsErrorOf("ERR") && value.Text!.Contains("max number of clients", StringComparison.Ordinal))
            || (reply is null && value.IsError))
        {
            // Said to the connection as such, before it is closed, and no answer to what may have been asked already.
            var refusal = new RedisRefusedException(value.Text!);
            reply?.TrySetException(new IOException(refusal.Message, refusal));
            throw refusal;
        }

        if (reply is null)
        {
            throw new RedisProtocolException("a reply that nobody asked for");
        }

        reply.TrySetResult(value);
    }

    /// <summary>Under the gate: everything that waits fails, and nothing is sent any more.</summary>
    private void End(Exception reason)
    {
        if (_end is not null)
        {
            return;
        }

        _end = reason;
        _socket.Dispose();
        while (_pending.TryDequeue(out TaskCompletionSource<RespValue>? reply))
        {
            reply.TrySetException(new IOException(reason.Message, reason));
        }

        _closed.TrySetResult(reason);
    }
}

/// <summary>The node refuses the connection as such, and says why.</summary>
/// <param name="said">Its error.</param>
internal sealed class RedisRefusedException(string said) : Exception(Describe(said))
{
    private const int Longest = 200;

    /// <summary>Its first sentence: Redis adds a page of advice to some.</summary>
    private static string Describe(string said)
    {
        if (said.Contains("max number of clients", StringComparison.Ordinal))
        {
            return "it takes no more connections (maxclients), so that the monitors cannot watch it";
        }

        int end = said.IndexOf(". ", StringComparison.Ordinal);
        string sentence = end < 0 ? said : said[..end];
        return $"it refuses the connection: {(sentence.Length > Longest ? sentence[..Longest] : sentence)}";
    }
}
