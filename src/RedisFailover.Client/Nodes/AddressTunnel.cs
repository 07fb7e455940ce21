using System.Net.Sockets;
using StackExchange.Redis.Configuration;

namespace RedisFailover.Client;

/// <summary>Leads to the address that answered, knows whether anything comes from there, and can cut what it has led there: the calls that
/// were sent then end with 3.4's own exception.</summary>
internal sealed class AddressTunnel(IPEndPoint found) : Tunnel
{
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private bool _isCut;
    private long _heard;

    public IPEndPoint Found => found;

    /// <summary>Grows with whatever the node sends on the connection of the calls.</summary>
    public long Heard => Volatile.Read(ref _heard);

    public override ValueTask<EndPoint?> GetSocketConnectEndpointAsync(EndPoint endpoint, CancellationToken cancellationToken)
        => new(found);

    public override ValueTask BeforeSocketConnectAsync(EndPoint endPoint, ConnectionType connectionType, Socket? socket,
        CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _sockets.RemoveAll(known => known.SafeHandle.IsClosed);
            if (_isCut)
            {
                // 3.4 connects again by itself.
                socket?.Dispose();
            }
            else if (socket is not null)
            {
                _sockets.Add(socket);
            }
        }

        return default;
    }

    public override ValueTask<Stream?> BeforeAuthenticateAsync(EndPoint endpoint, ConnectionType connectionType, Socket? socket,
        CancellationToken cancellationToken)
        => new(socket is not null && connectionType == ConnectionType.Interactive ? new HeardStream(socket, this) : null);

    public void Cut()
    {
        lock (_gate)
        {
            _isCut = true;
            _sockets.ForEach(socket => socket.Dispose());
            _sockets.Clear();
        }
    }

    /// <summary>Who reads again has taken what came: each reading but the first counts as something heard.</summary>
    private sealed class HeardStream(Socket socket, AddressTunnel tunnel) : NetworkStream(socket)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref tunnel._heard);
            return base.ReadAsync(buffer, cancellationToken);
        }

        public override int Read(Span<byte> buffer)
        {
            Interlocked.Increment(ref tunnel._heard);
            return base.Read(buffer);
        }
    }
}
