using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;
using StackExchange.Redis.Configuration;

namespace RedisFailover.Client;

/// <summary>
/// Leads to that one of a name's addresses that answered, and can cut what it has led there: calls that were sent then end with the
/// library's own exception, which says of what kind they were.
/// </summary>
internal sealed class AddressTunnel(IPEndPoint found) : Tunnel
{
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private bool _isCut;

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
                // The library connects again by itself.
                socket?.Dispose();
            }
            else if (socket is not null)
            {
                _sockets.Add(socket);
            }
        }

        return default;
    }

    public void Cut()
    {
        lock (_gate)
        {
            _isCut = true;
            _sockets.ForEach(socket => socket.Dispose());
            _sockets.Clear();
        }
    }
}
