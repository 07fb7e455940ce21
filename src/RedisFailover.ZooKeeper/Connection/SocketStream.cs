using System.Net.Sockets;

namespace RedisFailover.ZooKeeper;

/// <summary>
/// A connected socket for one thread that waits in the kernel for what comes, and for writers that normally need not wait at all. .NET's
/// own stream would take every packet through its socket engine and the thread pool: two more threads to wake, and workers that spin
/// before they sleep. Only what the socket's buffer does not take at once is sent that way.
/// </summary>
/// <param name="socket">Connected, and not blocking, before anything is read or written.</param>
internal sealed class SocketStream(Socket socket) : Stream
{
    private const int Forever = -1;

    /// <summary>
    /// What comes soon after something has come or was sent comes within this time; to sleep and be woken would take a good part of it.
    /// </summary>
    private static readonly TimeSpan SpinTime = TimeSpan.FromMicroseconds(150);

    /// <summary>Not more threads of the process than this spin at a time, however many connections it has.</summary>
    private static readonly int MaxSpinning = Math.Max(1, Environment.ProcessorCount / 2);

    private static int _spinning;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>
    /// Waits until there is something: first for a moment by giving way to the machine's other threads, again and again, then asleep.
    /// <see cref="Stream.Dispose()"/> ends the waiting.
    /// </summary>
    /// <returns>The number of bytes; 0 when the other side has closed.</returns>
    /// <exception cref="SocketException">The connection is broken.</exception>
    /// <exception cref="ObjectDisposedException">Closed by this side.</exception>
    public override int Read(Span<byte> buffer)
    {
        Spin();
        while (true)
        {
            int received = socket.Receive(buffer, SocketFlags.None, out SocketError error);
            if (error == SocketError.Success)
            {
                return received;
            }

            if (error != SocketError.WouldBlock)
            {
                throw new SocketException((int)error);
            }

            socket.Poll(Forever, SelectMode.SelectRead);
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        int sent = TrySend(buffer.Span);
        while (sent < buffer.Length)
        {
            sent += await socket.SendAsync(buffer[sent..], SocketFlags.None, cancellationToken).ConfigureAwait(false);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <summary>For the handshake of TLS alone: waits until all is on its way.</summary>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        for (int sent = TrySend(buffer); sent < buffer.Length; sent += TrySend(buffer[sent..]))
        {
            socket.Poll(Forever, SelectMode.SelectWrite);
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Flush()
    {
        // Nothing is kept back.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            socket.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Spin()
    {
        // It is about this machine's threads: the real clock, whatever time a test may have.
        long start = TimeProvider.System.GetTimestamp();
        bool mine = Interlocked.Increment(ref _spinning) <= MaxSpinning;
        try
        {
            while (mine && socket.Available == 0 && TimeProvider.System.GetElapsedTime(start) < SpinTime)
            {
                Thread.Yield();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _spinning);
        }
    }

    private int TrySend(ReadOnlySpan<byte> buffer)
    {
        int sent = socket.Send(buffer, SocketFlags.None, out SocketError error);
        return error switch
        {
            SocketError.Success => sent,
            SocketError.WouldBlock => 0,
            _ => throw new SocketException((int)error),
        };
    }
}
