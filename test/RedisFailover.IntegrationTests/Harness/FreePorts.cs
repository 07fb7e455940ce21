using System.Net;
using System.Net.Sockets;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>
/// Ports that nobody listens on and that no other test, also of another run on this machine, is given.
/// </summary>
/// <remarks>
/// The claim is a UDP socket on the same number, held until this process ends: the servers speak TCP, so it is not in their way, and
/// the kernel gives it back however the run ends. The range lies below the one that the kernel takes outgoing ports from.
/// </remarks>
public static class FreePorts
{
    private const int First = 10_000;
    private const int Last = 28_000; // from here on scripts/lib.sh takes those of the scripts
    private static readonly List<Socket> Claims = [];

    public static int Next()
    {
        for (int attempt = 0; attempt < 1000; attempt++)
        {
            int port = Random.Shared.Next(First, Last);
            Socket claim = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ExclusiveAddressUse = true };
            if (TryBind(claim, port) && NobodyListens(port))
            {
                lock (Claims)
                {
                    Claims.Add(claim);
                }

                return port;
            }

            claim.Dispose();
        }

        throw new InvalidOperationException($"No free port between {First} and {Last}.");
    }

    private static bool NobodyListens(int port)
    {
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        return TryBind(probe, port);
    }

    private static bool TryBind(Socket socket, int port)
    {
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressAlreadyInUse or SocketError.AccessDenied)
        {
            return false;
        }
    }
}
