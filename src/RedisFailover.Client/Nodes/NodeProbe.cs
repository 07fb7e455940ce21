using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;

namespace RedisFailover.Client;

/// <summary>
/// Asks a node for one PING before a multiplexer is made for it. A multiplexer takes its whole timeout to say that a password is
/// wrong, and blocks a thread when it is given up on a node that hangs; this takes a round trip, or its deadline.
/// </summary>
internal static class NodeProbe
{
    /// <summary>Null when the node is ready, otherwise why it is not.</summary>
    public static async Task<string?> AskAsync(NodeAddress address, string? user, string? password, bool encrypted, TimeSpan deadline, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(deadline);
        try
        {
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            SocketError error = await ConnectAsync(socket, address, limit.Token).ConfigureAwait(false);
            if (error != SocketError.Success)
            {
                return error == SocketError.ConnectionRefused ? "connection refused" : new SocketException((int)error).Message;
            }

            if (encrypted)
            {
                return await SpeaksTlsAsync(socket, address, deadline / 2, cancellation).ConfigureAwait(false);
            }

            await socket.SendAsync(Request(user, password), limit.Token).ConfigureAwait(false);
            string[] replies = await ReadLinesAsync(socket, password is null ? 1 : 2, limit.Token).ConfigureAwait(false);
            return Array.Find(replies, reply => !reply.StartsWith('+')) is { } refusal ? Meaning(refusal) : null;
        }
        catch (SocketException failure)
        {
            return failure.Message;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"no answer within {deadline.TotalMilliseconds:0} ms";
        }
    }

    /// <summary>
    /// A Redis without TLS waits for the end of what it takes for a command, and a multiplexer with it, for its whole timeout. Whose
    /// certificate it is, and whether it is content with ours, is the multiplexer's to judge: nothing is sent through this handshake.
    /// </summary>
    private static async Task<string?> SpeaksTlsAsync(Socket socket, NodeAddress address, TimeSpan deadline, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(deadline);
        try
        {
#pragma warning disable CA5359 // Any certificate will do to know that there is one.
            using var stream = new SslStream(new NetworkStream(socket), leaveInnerStreamOpen: false, static (_, _, _, _) => true);
#pragma warning restore CA5359
            await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = address.Host }, limit.Token).ConfigureAwait(false);
            return null;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return $"it did not answer a TLS handshake within {deadline.TotalMilliseconds:0} ms: either it speaks no TLS, or it hangs";
        }
        catch (Exception failure) when (failure is AuthenticationException or IOException)
        {
            // It may want a certificate of ours, for one.
            return null;
        }
    }

    /// <summary>A refusal in words, with what the node said itself.</summary>
    private static string Meaning(string reply)
    {
        string said = reply.TrimStart('-');
        return said.Split(' ')[0] switch
        {
            "WRONGPASS" => $"it refuses the password ({said})",
            "NOAUTH" => $"it wants a password and was given none ({said})",
            "NOPERM" => $"it allows this user too little ({said})",
            "ERR" when said.Contains("AUTH", StringComparison.Ordinal) => $"it does not take the password ({said})",
            _ => said,
        };
    }

    /// <summary>
    /// By the event, which tells a refusal without throwing: the task throws it twice, and that port is asked again and again in the very
    /// milliseconds in which the next master is being connected.
    /// </summary>
    private static async Task<SocketError> ConnectAsync(Socket socket, NodeAddress address, CancellationToken cancellation)
    {
        var done = new TaskCompletionSource<SocketError>(TaskCreationOptions.RunContinuationsAsynchronously);
        using var attempt = new SocketAsyncEventArgs
        {
            RemoteEndPoint = IPAddress.TryParse(address.Host, out IPAddress? ip) ? new IPEndPoint(ip, address.Port) : new DnsEndPoint(address.Host, address.Port),
        };
        attempt.Completed += (_, ended) => done.TrySetResult(ended.SocketError);
        if (!socket.ConnectAsync(attempt))
        {
            return attempt.SocketError;
        }

        using (cancellation.UnsafeRegister(static attempt => Socket.CancelConnectAsync((SocketAsyncEventArgs)attempt!), attempt))
        {
            SocketError error = await done.Task.ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
            return error;
        }
    }

    private static byte[] Request(string? user, string? password)
    {
        var request = new StringBuilder();
        if (password is not null)
        {
            Append(request, user is null ? ["AUTH", password] : ["AUTH", user, password]);
        }

        Append(request, ["PING"]);
        return Encoding.UTF8.GetBytes(request.ToString());
    }

    private static void Append(StringBuilder request, string[] command)
    {
        request.Append('*').Append(command.Length).Append("\r\n");
        foreach (string word in command)
        {
            request.Append('$').Append(Encoding.UTF8.GetByteCount(word)).Append("\r\n").Append(word).Append("\r\n");
        }
    }

    private static async Task<string[]> ReadLinesAsync(Socket socket, int count, CancellationToken cancellation)
    {
        byte[] buffer = new byte[1024];
        int filled = 0;
        while (filled < buffer.Length)
        {
            int read = await socket.ReceiveAsync(buffer.AsMemory(filled), cancellation).ConfigureAwait(false);
            if (read == 0)
            {
                return ["the connection was closed"];
            }

            filled += read;
            string[] lines = Encoding.UTF8.GetString(buffer, 0, filled).Split("\r\n");
            if (lines.Length > count)
            {
                return lines[..count];
            }
        }

        return ["an answer that is not Redis'"];
    }
}
