using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace RedisFailover.Shared;

/// <summary>Why there is no connection. The kinds differ in what they prove.</summary>
internal enum DialFault
{
    /// <summary>There is one.</summary>
    None,

    /// <summary>Nothing listens there, at any address of the name.</summary>
    Refused,

    /// <summary>It was closed while it was made.</summary>
    Closed,

    /// <summary>No answer within the time given.</summary>
    Silent,

    /// <summary>The network says that there is no way to the host.</summary>
    Unreachable,

    /// <summary>
    /// Ours: the name does not resolve, this machine has no route, no port or file handle left, or may not. Proves nothing about the
    /// other side.
    /// </summary>
    Local,
}

/// <summary>How a connection attempt ended.</summary>
/// <param name="Socket">The connected socket; null where there is none.</param>
/// <param name="Fault">Why there is none.</param>
/// <param name="Detail">The same in words.</param>
internal readonly record struct Dialed(Socket? Socket, DialFault Fault, string Detail)
{
    /// <summary>
    /// To where it is connected; null where it is not. The socket itself does not tell once the other side has closed the connection.
    /// </summary>
    internal IPEndPoint? EndPoint { get; init; }
}

/// <summary>
/// Connects to a host by name. All its addresses are tried side by side, each a moment after the one before (RFC 8305), within one
/// deadline: an address that swallows packets delays nobody. Compiled into the projects that connect by name.
/// </summary>
internal sealed class TcpDialer(HostAddresses names, TimeProvider time)
{
    /// <summary>
    /// Between two attempts of which the first has not failed. Nodes are near: where no answer comes within this the next address
    /// is tried as well.
    /// </summary>
    private static readonly TimeSpan Stagger = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Connects. That it cannot be reached is an answer and no exception: when a node dies each of those who watch it is refused several
    /// times in a millisecond, and throwing takes longer than connecting.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal async Task<Dialed> ConnectAsync(string host, int port, TimeSpan within, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var deadline = new CancellationTokenSource(within, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        ImmutableArray<IPAddress> addresses;
        try
        {
            (addresses, SocketError error) = await names.FindAsync(host, either.Token).ConfigureAwait(false);
            if (addresses.IsEmpty)
            {
                return new Dialed(null, DialFault.Local, Describe(error));
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new Dialed(null, DialFault.Local, $"its host name was not resolved within {within.TotalMilliseconds:0} ms");
        }

        (Dialed won, List<(DialFault Fault, string Detail)> faults) = addresses.Length == 1
            ? await OneAsync(addresses[0], port, either.Token).ConfigureAwait(false)
            : await RaceAsync(addresses, port, either.Token).ConfigureAwait(false);
        if (won.EndPoint is { } endPoint)
        {
            names.Prefer(host, endPoint.Address);
            return won;
        }

        cancellationToken.ThrowIfCancellationRequested();
        (DialFault fault, string detail) = Worst(faults);
        return new Dialed(null, fault, fault == DialFault.Silent ? $"no connection within {within.TotalMilliseconds:0} ms" : detail);
    }

    /// <summary>
    /// What all the failures together prove: an address that is silent may be the right one, and our own faults prove nothing.
    /// </summary>
    private static (DialFault Fault, string Detail) Worst(List<(DialFault Fault, string Detail)> faults)
    {
        foreach (DialFault fault in (DialFault[])[DialFault.Silent, DialFault.Closed, DialFault.Unreachable, DialFault.Refused])
        {
            if (faults.Find(f => f.Fault == fault) is { Fault: not DialFault.None } found)
            {
                return found;
            }
        }

        return faults[0];
    }

    private static async Task<(Dialed Won, List<(DialFault, string)> Faults)> OneAsync(
        IPAddress address, int port, CancellationToken cancellationToken)
    {
        Dialed dialed = await AttemptAsync(address, port, cancellationToken).ConfigureAwait(false);
        return (dialed, [(dialed.Fault, dialed.Detail)]);
    }

    private async Task<(Dialed Won, List<(DialFault, string)> Faults)> RaceAsync(
        ImmutableArray<IPAddress> addresses, int port, CancellationToken cancellationToken)
    {
        using var won = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        List<Task<Dialed>> running = [];
        List<(DialFault, string)> faults = [];
        int next = 0;
        while (next < addresses.Length || running.Count > 0)
        {
            if (next < addresses.Length)
            {
                running.Add(AttemptAsync(addresses[next++], port, won.Token));
            }

            Task<Dialed> any = await AnyAsync(running, next < addresses.Length).ConfigureAwait(false) ?? running[^1];
            if (!any.IsCompleted)
            {
                continue;
            }

            running.Remove(any);
            Dialed dialed = await any.ConfigureAwait(false);
            if (dialed.Socket is not null)
            {
                await won.CancelAsync().ConfigureAwait(false);
                await DropAsync(running).ConfigureAwait(false);
                return (dialed, faults);
            }

            faults.Add((dialed.Fault, dialed.Detail));
        }

        return (default, faults);
    }

    /// <summary>The first attempt that has ended; null where it is time to begin with the next address.</summary>
    private async Task<Task<Dialed>?> AnyAsync(List<Task<Dialed>> running, bool hasMore)
    {
        Task<Task<Dialed>> first = Task.WhenAny(running);
        if (!hasMore || first.IsCompleted)
        {
            return await first.ConfigureAwait(false);
        }

        using var over = new CancellationTokenSource();
        Task ended = await Task.WhenAny(first, Task.Delay(Stagger, time, over.Token)).ConfigureAwait(false);
        await over.CancelAsync().ConfigureAwait(false);
        return ended == first ? await first.ConfigureAwait(false) : null;
    }

    /// <summary>Those that have lost the race were cancelled; one may have been connected just then.</summary>
    private static async Task DropAsync(List<Task<Dialed>> running)
    {
        foreach (Task<Dialed> attempt in running)
        {
            (await attempt.ConfigureAwait(false)).Socket?.Dispose();
        }
    }

    private static async Task<Dialed> AttemptAsync(IPAddress address, int port, CancellationToken cancellationToken)
    {
        Socket socket;
        try
        {
            socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        }
        catch (SocketException e)
        {
            return new Dialed(null, DialFault.Local, Describe(e.SocketErrorCode));
        }

        var endPoint = new IPEndPoint(address, port);
        (SocketError error, bool atOnce) = await ConnectAsync(socket, endPoint, cancellationToken).ConfigureAwait(false);
        if (error == SocketError.Success)
        {
            return new Dialed(socket, DialFault.None, "") { EndPoint = endPoint };
        }

        socket.Dispose();
        DialFault fault = Classify(error, atOnce);
        return new Dialed(null, fault, fault == DialFault.Unreachable ? "the network finds no way to it" : Describe(error));
    }

    private static async ValueTask<(SocketError Error, bool AtOnce)> ConnectAsync(
        Socket socket, IPEndPoint endPoint, CancellationToken cancellationToken)
    {
        using var attempt = new SocketAsyncEventArgs { RemoteEndPoint = endPoint };
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        attempt.Completed += (_, _) => done.TrySetResult();
        bool atOnce = false;
        using (cancellationToken.UnsafeRegister(static s => ((Socket)s!).Dispose(), socket))
        {
            try
            {
                atOnce = !socket.ConnectAsync(attempt);
                if (!atOnce)
                {
                    await done.Task.ConfigureAwait(false);
                }
            }
            catch (ObjectDisposedException)
            {
                return (SocketError.OperationAborted, false);
            }
        }

        // Cancelled just when it was connected: the socket is closed already.
        return (cancellationToken.IsCancellationRequested ? SocketError.OperationAborted : attempt.SocketError, atOnce);
    }

    /// <summary>
    /// "Unreachable" that comes at once is this machine's own table of routes; later it is the network, or a router on the way.
    /// </summary>
    private static DialFault Classify(SocketError error, bool atOnce) => error switch
    {
        SocketError.ConnectionRefused => DialFault.Refused,
        SocketError.ConnectionReset or SocketError.ConnectionAborted => DialFault.Closed,
        SocketError.TimedOut or SocketError.OperationAborted => DialFault.Silent,
        SocketError.HostUnreachable or SocketError.HostDown or SocketError.NetworkUnreachable or SocketError.NetworkDown
            => atOnce ? DialFault.Local : DialFault.Unreachable,
        _ => DialFault.Local,
    };

    private static string Describe(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain or SocketError.NoRecovery
            => "its host name does not resolve",
        SocketError.NetworkUnreachable or SocketError.NetworkDown or SocketError.HostUnreachable => "this machine has no route to it",
        SocketError.AddressNotAvailable => "this machine has no local port left for a connection to it",
        SocketError.TooManyOpenSockets => "this process has no file handle left for a connection to it",
        SocketError.AccessDenied => "this machine does not let this process connect to it",
        _ => new SocketException((int)error).Message,
    };
}
