using System.Buffers;
using System.Buffers.Binary;

namespace RedisFailover.ZooKeeper;

/// <summary>Cuts a stream into frames. Each is handed out whole and without copying, and is valid until the next read.</summary>
internal sealed class FrameReader(Stream stream, TimeProvider time) : IDisposable
{
    private const int NormalBytes = 64 * 1024;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(NormalBytes);
    private int _start;
    private int _end;

    /// <summary>When bytes last came in; at first, when the connection was made.</summary>
    internal Moment LastReceive { get; private set; } = Moment.Now(time);

    /// <summary>The next frame if all of it has been received.</summary>
    /// <exception cref="InvalidDataException">The length is negative or beyond <see cref="ServerConnection.MaxReplyBytes"/>.</exception>
    internal bool TryReadBuffered(out ReadOnlyMemory<byte> frame)
    {
        frame = default;
        if (_end - _start < 4)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start));
        if (length is < 0 or > ServerConnection.MaxReplyBytes)
        {
            throw new InvalidDataException($"A frame of {length} bytes is announced; 0 to {ServerConnection.MaxReplyBytes} are possible.");
        }

        if (_end - _start - 4 < length)
        {
            return false;
        }

        frame = _buffer.AsMemory(_start + 4, length);
        _start += 4 + length;
        return true;
    }

    /// <summary>The next frame, received as necessary; the thread waits for it.</summary>
    /// <exception cref="EndOfStreamException">The server closed the connection.</exception>
    internal ReadOnlyMemory<byte> Receive()
    {
        ReadOnlyMemory<byte> frame;
        while (!TryReadBuffered(out frame))
        {
            MakeRoom();
            int received = stream.Read(_buffer.AsSpan(_end));
            if (received == 0)
            {
                throw new EndOfStreamException("the server closed the connection");
            }

            _end += received;
            LastReceive = Moment.Now(time);
        }

        return frame;
    }

    public void Dispose()
    {
        byte[] buffer = _buffer;
        _buffer = [];
        (_start, _end) = (0, 0);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private void MakeRoom()
    {
        int rest = _end - _start;
        int wanted = rest >= 4 ? 4 + BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start)) : 4;
        if (rest == 0 && _buffer.Length > 4 * NormalBytes)
        {
            // A large reply has gone by: back to the normal size.
            Replace(NormalBytes, rest);
        }
        else if (wanted > _buffer.Length)
        {
            Replace(wanted, rest);
        }
        else if (rest == 0)
        {
            (_start, _end) = (0, 0);
        }
        else if (_start + wanted > _buffer.Length || _buffer.Length - _end < NormalBytes / 4)
        {
            _buffer.AsSpan(_start, rest).CopyTo(_buffer);
            (_start, _end) = (0, rest);
        }
    }

    private void Replace(int bytes, int rest)
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(bytes);
        _buffer.AsSpan(_start, rest).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_buffer);
        (_buffer, _start, _end) = (larger, 0, rest);
    }
}
